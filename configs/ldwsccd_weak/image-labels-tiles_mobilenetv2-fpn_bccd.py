"""Blood cells from image labels of tiles, nine of each image: some of them lack a class.

It is tested on whole images, with their boxes.
"""

_base_ = './image-labels_mobilenetv2-fpn_bccd.py'

# a third of the 256 px that a whole image has: cells are as large as in the test
tile = dict(type='Resize', scale=(85, 85), keep_ratio=False)
train_pipeline = [*_base_.load_image, _base_.load_boxes, tile, *_base_.cell_looks, _base_.pack]
tiles = dict(data_root='data/bccd_tiles/', ann_file='train.json', pipeline=train_pipeline)
# the pixels of eight whole images
train_dataloader = dict(batch_size=72, dataset=tiles)
model = dict(
    proposer=dict(max_per_img=24),
    train_cfg=dict(proposal=dict(nms_pre=64, max_per_img=12)),
)
truth = 'data/bccd_tiles/train_boxes.json'
default_hooks = dict(collapse_watch=dict(ann_file=truth, num_images=576, batch_size=36))
