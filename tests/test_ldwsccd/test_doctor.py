"""Where the doctor looks for the images of a set."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from ldwsccd.doctor import images_of, lines_of_missing
from ldwsccd_mmdet.preparation.checks.missing_cells import MissingCellsEstimate


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


@pytest.mark.parametrize(('missing', 'told'), [(0.4, True), (0.02, False)])
def test_where_many_cells_lack_a_box_it_says_what_to_do(missing: float, told: bool) -> None:
    rows = [
        MissingCellsEstimate(name, 90, 20, 9, False, missing, missing / 2, missing + 0.1)
        for name in ('red', 'all classes')
    ]
    text = '\n'.join(lines_of_missing(rows))
    assert 'all classes: about' in text.splitlines()[0] and '    red: about' in text
    assert ('model.bbox_head.far_weight=0.1' in text) is told
