"""Mosaics: four images laid together, with the hooks that end them before the training does."""

# YOLOv4's at 512 and 256 px: the first steps of a MultiImageMixDataset's pipeline
mosaic_512 = [
    dict(type='Mosaic', img_scale=(512, 512), pad_val=114.0),
    dict(type='RandomCrop', crop_size=(512, 512), allow_negative_crop=True),
]
mosaic_256 = [
    dict(type='Mosaic', img_scale=(256, 256), pad_val=114.0),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
]
# YOLOX-nano's, which its authors train without MixUp; the last epochs see whole images
mosaic_yolox = [
    mosaic_256[0],
    dict(type='RandomAffine', scaling_ratio_range=(0.5, 1.5), border=(-128, -128)),
]
mosaic_yolox_end = dict(type='YOLOXModeSwitchHook', num_last_epochs=5, priority=48)
# RTMDet-tiny's, after the boxes are loaded; it keeps the images that it lays together itself
mosaic_rtmdet = [
    dict(type='CachedMosaic', img_scale=(256, 256), max_cached_images=20, random_pop=False),
    dict(type='RandomResize', scale=(512, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(256, 256), allow_negative_crop=True),
    dict(type='Pad', size=(256, 256), pad_val=dict(img=(114, 114, 114))),
]
mixup_rtmdet = dict(
    type='CachedMixUp',
    img_scale=(256, 256),
    ratio_range=(1.0, 1.0),
    max_cached_images=10,
    random_pop=False,
    prob=0.5,
)
# YOLOX and RTMDet are tested by the mean of their weights over the training
mean_weights = dict(
    type='EMAHook', ema_type='ExpMomentumEMA', momentum=2e-4, update_buffers=True, priority=49
)
