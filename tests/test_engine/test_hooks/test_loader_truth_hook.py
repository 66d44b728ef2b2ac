"""Evaluators get the loader's truth before the first step, or one error says why not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmdet.evaluation import CocoMetric
from mmengine.evaluator import Evaluator

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.engine.hooks import LoaderTruthHook
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation import CheckedCocoMetric, CytologyMetric

CLASSES = ('lsil', 'hsil', 'scc')


def runner_of(root: Path, *metrics: Any, classes: tuple[str, ...] = CLASSES) -> Any:
    dataset = CervicalCellDataset(
        data_root=str(root),
        ann_file='val.json',
        data_prefix={'img': 'images'},
        metainfo={'classes': classes},
        test_mode=True,
    )
    loop = SimpleNamespace(
        evaluator=Evaluator(list(metrics)), dataloader=SimpleNamespace(dataset=dataset)
    )
    return SimpleNamespace(val_loop=loop, test_loop=loop)


def test_hands_the_truth_over(tiny_coco: Callable[..., Path]) -> None:
    root = tiny_coco('val', num_images=3)
    for stage in ('before_train', 'before_val', 'before_test'):
        metrics = CheckedCocoMetric(), CytologyMetric(), CocoMetric(str(root / 'val.json'))
        getattr(LoaderTruthHook(), stage)(runner_of(root, *metrics))
        assert [len(metric.truth.anns) for metric in metrics[:2]] == [6, 6]
    LoaderTruthHook().before_train(SimpleNamespace(val_loop=None))
    LoaderTruthHook().before_test(SimpleNamespace(test_loop=SimpleNamespace()))


def test_left_over_evaluator_is_one_error(tiny_coco: Callable[..., Path]) -> None:
    root = tiny_coco('val')
    tiny_coco('test', num_images=7)
    for metric in (CheckedCocoMetric, CocoMetric):
        runner = runner_of(root, metric(str(root / 'test.json')))
        with pytest.raises(ConfigError, match='images are not those of') as error:
            LoaderTruthHook().before_train(runner)
        assert '\n' not in str(error.value)


def first_annotation(**changes: Any) -> Callable[[dict], None]:
    return lambda content: content['annotations'][0].update(changes)


@pytest.mark.parametrize(
    ('edit', 'classes', 'match'),
    [
        (first_annotation(bbox=[1, 2, 0, 4]), CLASSES, 'boxes of these classes'),
        (first_annotation(area=0), CLASSES, 'boxes of these classes'),
        (first_annotation(id=0), CLASSES, 'annotation ids below 1'),
        (lambda content: None, CLASSES[::-1], 'do not ascend'),
    ],
)
def test_plain_coco_metric_where_it_would_be_wrong(
    tiny_coco: Callable[..., Path], edit: Any, classes: tuple[str, ...], match: str
) -> None:
    root = tiny_coco('val', edit=edit)
    runner = runner_of(root, CocoMetric(str(root / 'val.json')), classes=classes)
    with pytest.raises(ConfigError, match=f"{match}.*type='CheckedCocoMetric'"):
        LoaderTruthHook().before_test(runner)
    assert json.loads((root / 'val.json').read_text())
