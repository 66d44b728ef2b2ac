"""BCCD: 364 fields of blood, 640 x 480 px, with real boxes of red and white cells and platelets.

tools/dataset_converters/pascal_voc_to_coco.py BCCD --out data/bccd
"""

_base_ = './small_detection.py'

data_root = 'data/bccd/'
num_classes = 3
metainfo = dict(classes=('Platelets', 'RBC', 'WBC'))
dataset = dict(data_root=data_root, metainfo=metainfo)

train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dict(ann_file='test.json', **dataset))

val_evaluator = dict(classwise=True)
test_evaluator = [
    dict(type='CheckedCocoMetric', metric='bbox', classwise=True),
    dict(type='CytologyMetric'),
]
