"""Where the doctor looks for the images of a set."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from ldwsccd.doctor import images_of


def loader(file: str) -> dict:
    return dict(dataset=dict(data_root='set', ann_file=file, data_prefix=dict(img='photos/')))


def test_images_are_where_the_config_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Config(
        dict(
            train_dataloader=dict(
                dataset=dict(type='RepeatDataset', dataset=loader('train.json')['dataset'])
            ),
            val_dataloader=loader('val.json'),
            test_dataloader=None,
        )
    )
    for file in ('train.json', 'val.json'):
        assert images_of(config, f'set/{file}') == Path('set/photos')
    assert images_of(config, str(tmp_path / 'set' / 'train.json')) == Path('set/photos')
    assert images_of(config, 'set/other.json') is None
