"""The rows of Table 4 on BCCD differ only in their parts: else the gains mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

FOLDER = Path(__file__).resolve().parents[1] / 'configs' / 'ldwsccd'
ROWS = ('ssd256-narrow', 'ssd256-narrow_ldm', 'ssd256-narrow_mil')


@pytest.mark.parametrize('row', ROWS)
def test_rows_differ_only_in_their_parts(row):
    whole = Config.fromfile(FOLDER / 'ldwsccd_ssd256-narrow_bccd.py')
    other = Config.fromfile(FOLDER / f'{row}_bccd.py')
    for key in (
        'train_dataloader',
        'test_dataloader',
        'test_evaluator',
        'optim_wrapper',
        'param_scheduler',
        'train_cfg',
        'randomness',
    ):
        assert other[key] == whole[key], key
    for key in ('backbone', 'neck', 'bbox_head', 'data_preprocessor'):
        assert other.model[key] == whole.model[key], key
    parts = {key for key in ('teacher', 'distillation', 'mil_head') if other.model.get(key)}
    expected = {
        'ssd256-narrow': set(),
        'ssd256-narrow_ldm': {'teacher', 'distillation'},
        'ssd256-narrow_mil': {'mil_head'},
    }
    assert parts == expected[row]


def test_test_set_is_not_the_validation_set():
    config = Config.fromfile(FOLDER / 'ldwsccd_ssd256-narrow_bccd.py')
    assert config.val_dataloader.dataset.ann_file == 'val.json'
    assert config.test_dataloader.dataset.ann_file == 'test.json'
    # the truth is the loader's
    assert not any('ann_file' in metric for metric in config.test_evaluator)
