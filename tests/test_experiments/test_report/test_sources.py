from pathlib import Path

import pytest
from mmengine.config import Config

from ldwsccd_mmdet.experiments.report.sources import Source, _role

VGG = dict(type='ScaledSSDVGG')


@pytest.mark.parametrize(
    ('model', 'role'),
    [
        (dict(type='LDWSCCD', backbone=VGG), 'ScaledSSDVGG'),
        (
            dict(
                type='LDWSCCD', backbone=VGG, teacher=None, mil_head={'type': 'MILRefinementHead'}
            ),
            'ScaledSSDVGG + MIL refinement',
        ),
        (
            dict(type='LDWSCCDTwoStage', backbone=VGG, teacher={'config': 'teacher.py'}),
            'ScaledSSDVGG + local distillation',
        ),
        (dict(type='FasterRCNN', backbone=dict(type='ResNet')), 'FasterRCNN, ResNet'),
        (dict(type='FasterRCNN'), 'FasterRCNN'),
        ({}, ''),
    ],
)
def test_role_says_what_a_model_is(model, role):
    source = Source('a', Path('predictions.pkl'), config=Config(dict(model=model)))
    assert _role(source, teacher='b') == role
    assert _role(source, teacher='a') == 'teacher'
