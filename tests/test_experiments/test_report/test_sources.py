from pathlib import Path

import pytest
from mmengine.config import Config

from ldwsccd_mmdet.experiments.report.sources import Source, _name_and_paths, _role

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


def test_paths_may_have_commas_and_equal_signs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'demo, with = and space' / 'run'
    folder.mkdir(parents=True)
    file = folder / 'predictions.pkl'
    file.touch()
    assert _name_and_paths(f'{folder}') == ('', [folder])
    assert _name_and_paths(f'{folder},{file}') == ('', [folder, file])
    assert _name_and_paths(f'SSD={folder},{file}') == ('SSD', [folder, file])
    assert _name_and_paths(f'a=b={file}') == ('a=b', [file])
    assert _name_and_paths('SSD=a,b') == ('SSD', [Path('a'), Path('b')])  # none is there
