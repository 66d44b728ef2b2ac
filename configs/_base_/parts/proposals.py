"""The MIL head's regions, from the SSD head: train_cfg and test_cfg = dict(proposal=...)."""

proposals = dict(nms_pre=1000, nms=dict(type='nms', iou_threshold=0.7), max_per_img=64)
