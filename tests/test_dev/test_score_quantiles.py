"""Quantiles of the scores of a test, class by class."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from mmdet.evaluation import DumpDetResults
from mmengine.structures import InstanceData

from dev import score_quantiles


def test_a_row_for_each_class_of_each_file(tmp_path: Path, monkeypatch) -> None:
    boxes = [[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
    truth = [
        dict(id=n, image_id=1, category_id=1, bbox=[b[0], b[1], 10, 10], area=100, iscrowd=0)
        for n, b in enumerate(boxes[:2], 1)
    ]
    content = dict(
        images=[dict(id=1, file_name='a.png', width=60, height=20)],
        annotations=[*truth, {**truth[0], 'id': 3, 'category_id': 2}],
        categories=[dict(id=1, name='red'), dict(id=2, name='white')],
    )
    (tmp_path / 'test.json').write_text(json.dumps(content))
    found = dict(
        bboxes=torch.tensor(boxes),
        scores=torch.tensor([0.2, 0.4, 0.8]),
        labels=torch.tensor([0, 0, 0]),
    )
    sample = dict(img_id=1, pred_instances=InstanceData(**found).to_dict())
    metric = DumpDetResults(str(tmp_path / 'found.pkl'))
    metric.process({}, [sample])
    metric.compute_metrics(metric.results)
    out = tmp_path / 'scores.csv'
    line = [str(tmp_path / 'test.json'), f'a={tmp_path / "found.pkl"}', '--csv', str(out)]
    monkeypatch.setattr(sys, 'argv', ['score_quantiles.py', *line])
    score_quantiles.main()
    red, white = csv.DictReader(out.open(newline=''))
    assert (red['name'], red['class'], red['detections']) == ('a', 'red', '3')
    # the best scored is no cell: precision 1/2 at the first cell, 2/3 at both
    assert float(red['AP50']) == pytest.approx(66.7, abs=0.1)
    assert [float(red[f'q{q}']) for q in (10, 50, 90, 100)] == [0.24, 0.4, 0.72, 0.8]
    assert (white['class'], white['AP50'], white['detections'], white['q50']) == (
        'white',
        '0.0',
        '0',
        'nan',
    )
