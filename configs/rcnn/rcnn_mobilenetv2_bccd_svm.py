r"""R-CNN, second stage: support vector machines and ridge regression on the first one's features.

ldwsccd svm configs/rcnn/rcnn_mobilenetv2_bccd_svm.py \
    work_dirs/rcnn_mobilenetv2_bccd/epoch_40.pth --out work_dirs/rcnn_svm.pth
"""

_base_ = './rcnn_mobilenetv2_bccd.py'

model = dict(roi_head=dict(bbox_head=dict(type='SVMBBoxHead', with_reg=True)))
