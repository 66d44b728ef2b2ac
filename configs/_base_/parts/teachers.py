"""The teacher of each data set: model = dict(teacher=_base_.teacher_NAME); train it first."""

teacher_ccd = dict(
    config='configs/teachers/retinanet_r50-fpn_ccd.py',
    checkpoint='work_dirs/retinanet_r50-fpn_ccd/epoch_24.pth',
)
# that of the baselines' schedule
teacher_ccd_adamw = dict(
    config='configs/retinanet/retinanet_r50-fpn_adamw_ccd.py',
    checkpoint='work_dirs/retinanet_r50-fpn_adamw_ccd/epoch_120.pth',
)
teacher_cric = dict(
    config='configs/teachers/teacher_mobilenetv2-fpn_cric.py',
    checkpoint='work_dirs/teacher_mobilenetv2-fpn_cric/epoch_40.pth',
)
teacher_bccd = dict(
    config='configs/teachers/teacher_mobilenetv2-fpn_bccd.py',
    checkpoint='work_dirs/teacher_mobilenetv2-fpn_bccd/epoch_40.pth',
)
teacher_composed = dict(
    config='configs/teachers/teacher_mobilenetv2-fpn_composed.py',
    checkpoint='work_dirs/teacher_mobilenetv2-fpn_composed/epoch_40.pth',
)
teacher_synthetic = dict(
    config='configs/teachers/teacher_ssd256_synthetic.py',
    checkpoint='work_dirs/teacher_ssd256_synthetic/epoch_10.pth',
)
