"""YOLOv4's mosaic at 512 px: the first steps of a MultiImageMixDataset's pipeline."""

mosaic_512 = [
    dict(type='Mosaic', img_scale=(512, 512), pad_val=114.0),
    dict(type='RandomCrop', crop_size=(512, 512), allow_negative_crop=True),
]
