"""The command ``new``: with and without a validation set, in folds, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from ldwsccd.main import main
from tests.test_preparation.test_new_set import as_roboflow, many, put_images


@pytest.fixture
def annotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """12 images of 4 patients, one folder down."""
    monkeypatch.chdir(tmp_path)
    content = many(12, 4)
    put_images(tmp_path / 'export' / 'photos', [image['file_name'] for image in content['images']])
    (tmp_path / 'export' / 'all.json').write_text(json.dumps(content))
    return tmp_path


def images_of(file: Path) -> set[str]:
    return {image['file_name'] for image in json.loads(file.read_text())['images']}


def test_with_a_validation_set(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    parts = [str(as_roboflow(tmp_path / name)) for name in ('one', 'two')]
    assert main(['new', *parts, '--name', 'mine', '--mpp', '0.25']) == 0
    said = capsys.readouterr().out
    assert 'COCO: 2 images, classes cell, dirt' in said
    assert 'ldwsccd compare configs/mine --out work_dirs/compare_mine --amp' in said
    config = Config.fromfile('configs/mine/ldwsccd_mine.py')
    train, val = config.train_dataloader.dataset, config.val_dataloader.dataset
    assert train.type == 'RepeatDataset' and train.times == 100
    assert val.ann_file == 'data/mine/val.json' and 'two/train' in val.data_prefix.img
    for part in (train.dataset, val):
        assert part.metainfo.mpp == 0.25 and part.metainfo.classes == ('cell', 'dirt')
    assert main(['new', *parts, '--name', 'mine']) == 2  # nothing is overwritten
    assert 'exists' in capsys.readouterr().err


def test_without_one_a_part_is_split_off(annotated: Path, capsys) -> None:
    command = ['new', 'export/all.json', '--name', 'mine', '--group', r'^(p\d+)_']
    assert main([*command, '--val-share', '0.25']) == 0
    train, val = (images_of(Path(f'data/mine/{part}.json')) for part in ('train', 'val'))
    assert len(train) == 9 and len(val) == 3
    assert not {name[:3] for name in train} & {name[:3] for name in val}
    assert '9 images with' in capsys.readouterr().out


def test_folds(annotated: Path, capsys) -> None:
    assert main(['new', 'export', '--name', 'mine', '--folds', '3']) == 0
    said = capsys.readouterr().out
    vals = [images_of(Path(f'data/mine/fold{fold}/val.json')) for fold in range(3)]
    assert sum(map(len, vals)) == len(set.union(*vals)) == 12
    for fold in range(3):
        name = f'mine_fold{fold}'
        assert Path(f'configs/mine/fold{fold}/ldwsccd_{name}.py').is_file()
        assert f'compare configs/mine/fold{fold} --out work_dirs/compare_{name} --amp' in said


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (['gone.json'], 'does not exist'),
        (['export', '--images', 'nowhere'], 'images'),
        (['export', '--folds', '1'], '--folds'),
        (['export', '--group', '^q'], '--group'),
    ],
)
def test_one_line_for_each_fault(annotated: Path, capsys, arguments, match: str) -> None:
    assert main(['new', *arguments, '--name', 'mine']) == 2
    said = capsys.readouterr().err
    assert said.startswith('error: ') and said.count('\n') == 1 and match in said
    assert not Path('data').exists()
