"""FSSD, DSSD, RSSD and DSOD as students: distillation and MIL refinement work on them unchanged."""

import copy

import pytest
import torch
from mmdet.registry import MODELS

from tests.test_models.helpers import NUM_CLASSES, head_cfg, predict_cfg, sample, samples
from tests.test_models.test_detectors.conftest import distillation_cfg, mil_cfg, student_cfg

FSSD = dict(
    neck=dict(
        type='FSSDNeck',
        in_channels=(8, 16),
        out_channels=(8, 16, 8),
        level_strides=(2, 2),
        level_paddings=(1, 1),
        last_kernel_size=3,
        source_channels=8,
        fusion_channels=4,
    ),
)
DSSD = dict(
    neck=dict(
        type='DSSDNeck',
        in_channels=(8, 16),
        out_channels=(8, 16, 8),
        level_strides=(2,),
        level_paddings=(1,),
        deconv_channels=8,
    ),
    bbox_head=head_cfg(type='DSSDHead', in_channels=(8, 8, 8), module_channels=(4, 8)),
)
RSSD = dict(
    neck=dict(
        type='RSSDNeck',
        in_channels=(8, 16),
        out_channels=(8, 16, 8),
        level_strides=(2,),
        level_paddings=(1,),
    ),
    bbox_head=head_cfg(
        type='RSSDHead',
        in_channels=(32, 32, 32),
        anchor_generator=dict(head_cfg()['anchor_generator'], ratios=[[2, 3]] * 3),
    ),
)
DSOD = dict(
    backbone=dict(
        type='DSODNet',
        stem_channels=(8, 8, 8),
        growth_rate=4,
        block_layers=(1, 1, 1, 1),
        last_channels=8,
    ),
    neck=dict(type='DSODNeck', in_channels=(16, 8), half_channels=(8, 4)),
    bbox_head=head_cfg(type='DSODHead', in_channels=(16, 16, 8)),
)
FAMILY = {
    'fssd': (FSSD, (8, 16, 8)),
    'dssd': (DSSD, (8, 8, 8)),
    'rssd': (RSSD, (32, 32, 32)),
    'dsod': (DSOD, (16, 16, 8)),
}


@pytest.fixture(params=FAMILY)
def student(request, teacher):
    cfg, channels = copy.deepcopy(FAMILY[request.param])
    mil_head = mil_cfg()
    mil_head['bbox_roi_extractor']['out_channels'] = channels[0]
    parts = dict(
        teacher=teacher,
        distillation=distillation_cfg(student_channels=channels),
        mil_head=mil_head,
    )
    model = MODELS.build(student_cfg(**cfg, **parts, test_cfg=predict_cfg(score_source='fused')))
    model.init_weights()
    return model


def test_one_step_with_teacher_and_mil_head(student):
    student.train()
    losses = student.loss(torch.randn(3, 3, 64, 64) * 50, samples())
    assert {'loss_cls', 'loss_bbox', 'loss_distill_fg', 'loss_mil', 'loss_refine_2'} <= set(losses)
    total, _ = student.parse_losses(losses)
    total.backward()
    assert [n for n, p in student.named_parameters() if p.grad is None] == []
    assert torch.isfinite(total)


def test_no_box_in_the_batch(student):
    student.train()
    total, _ = student.parse_losses(
        student.loss(torch.randn(2, 3, 64, 64) * 50, [sample([], []), sample([], [])])
    )
    total.backward()
    assert torch.isfinite(total)


@pytest.mark.parametrize('source', ['ssd', 'mil', 'fused'])
def test_predict_and_state_dict(student, source):
    student.eval()
    student.test_cfg['score_source'] = source
    x = torch.randn(1, 3, 64, 64) * 50
    with torch.no_grad():
        pred = student.predict(x, samples()[:1])[0].pred_instances.clone()
    assert len(pred) and (pred.labels < NUM_CLASSES).all()
    other = copy.deepcopy(student)
    for parameter in other.parameters():
        parameter.data.zero_()
    other.load_state_dict(student.state_dict())
    with torch.no_grad():
        again = other.predict(x, samples()[:1])[0].pred_instances
    assert torch.equal(pred.bboxes, again.bboxes)


def test_prediction_module_is_its_formula():
    module = MODELS.build(DSSD['bbox_head'] | dict(train_cfg=None)).prediction_modules[0]
    x = torch.randn(2, 8, 3, 4)
    hidden = module.conv2(module.conv1(x).relu()).relu()
    torch.testing.assert_close(module(x), (module.conv3(hidden) + module.skip(x)).relu())
