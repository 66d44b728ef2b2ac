from __future__ import annotations

import csv
import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/tabulate_ap.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('tabulate_ap', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def predictions(coco: COCO, keep: int | None = None) -> list[dict]:
    """The truth as predictions, of which an image keeps the first ``keep``."""
    out = []
    for image in coco.dataset['images']:
        anns = coco.loadAnns(coco.getAnnIds(image['id']))[:keep]
        boxes = np.array([a['bbox'] for a in anns], dtype=np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        out.append(
            dict(
                img_id=image['id'],
                img_path=image['file_name'],
                ori_shape=(image['height'], image['width']),
                pred_instances=dict(
                    bboxes=torch.from_numpy(boxes),
                    scores=torch.ones(len(anns)),
                    labels=torch.tensor([a['category_id'] - 1 for a in anns], dtype=torch.long),
                ),
            )
        )
    return out


def test_table_and_csv(tool, tiny_coco, tmp_path, capsys):
    root = tiny_coco('val', num_images=6)
    coco = COCO(str(root / 'val.json'))
    for name, keep in (('half', 1), ('all', None)):
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(predictions(coco, keep)))
    args = tool.parse_args(
        [
            str(root / 'val.json'),
            f'SSD={tmp_path}/half.pkl',
            f'LD-WSCCD={tmp_path}/all.pkl',
            '--csv',
            str(tmp_path / 'out' / 'table.csv'),
        ]
    )
    assert tool.main(args) == 0
    rows = list(csv.reader((tmp_path / 'out' / 'table.csv').open()))
    assert rows[0][:3] == ['model', 'mAP@50', 'gain over SSD']
    assert rows[0][3:] == ['lsil', 'hsil', 'scc']
    assert rows[2][:2] == ['LD-WSCCD', '100.0']
    assert float(rows[2][2]) == pytest.approx(100 - float(rows[1][1]), abs=0.11)
    assert 0 < float(rows[1][1]) < 100
    assert rows[3][1] == '12'
    assert '| LD-WSCCD | 100.0 |' in capsys.readouterr().out


def test_model_without_a_file(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['val.json', 'SSD'])
    assert 'expected NAME=FILE.pkl' in capsys.readouterr().err
