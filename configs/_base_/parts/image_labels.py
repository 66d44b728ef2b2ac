"""What learns from image labels alone: model = dict(_base_.image_labels), see ../models/.

A leaf adds num_classes of both heads, and the iterations for which the MIL head learns alone.
"""

_base_ = ['./proposals.py', './mil_image_labels.py']

image_labels = dict(
    # after supervision.pseudo_warmup iterations the MIL head's boxes teach the SSD head
    supervision=dict(regime='image'),
    # the regions until then
    proposer=dict(type='NucleusBlobProposer', max_per_img=200),
    mil_head=_base_.mil_image_labels,
    train_cfg=dict(proposal=dict(_base_.proposals, max_per_img=100)),
    test_cfg=dict(score_source='ssd', proposal=dict(_base_.proposals, max_per_img=100)),
)
