"""What pipelines are put together from, in ../datasets: each step stands here and nowhere else."""

load_image = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='VerifyImage', backend_args=None),
]
load_boxes = dict(type='LoadCellAnnotations', with_bbox=True)
pack = dict(type='PackCellInputs')

# SSD's augmentation, before and after the image is resized
ssd_crops = [
    dict(type='Expand', mean=[123.675, 116.28, 103.53], to_rgb=True, ratio_range=(1, 4)),
    dict(type='MinIoURandomCrop', min_ious=(0.1, 0.3, 0.5, 0.7, 0.9), min_crop_size=0.3),
]
ssd_looks = [
    dict(type='RandomFlip', prob=[0.25, 0.25], direction=['horizontal', 'vertical']),
    dict(
        type='StainDistortion',
        brightness_delta=32,
        contrast_range=(0.5, 1.5),
        saturation_range=(0.5, 1.5),
        hue_delta=18,
    ),
]

# gentler, and without change of scale; a smear has no up and no left
cell_looks = [
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal'],
    ),
    dict(
        type='StainDistortion',
        brightness_delta=16,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.8, 1.2),
        hue_delta=8,
    ),
]
