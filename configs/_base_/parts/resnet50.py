"""ImageNet's ResNet50: backbone = dict(init_cfg=dict(checkpoint=_base_.resnet50))."""

resnet50 = 'https://download.pytorch.org/models/resnet50-0676ba61.pth'
