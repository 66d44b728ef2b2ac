"""Evaluation counts what the loader loads: the data set is handed to the metrics."""

from __future__ import annotations

from typing import Any

from mmdet.evaluation import CocoMetric
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...datasets.coco_json import truth_of_records
from ...datasets.plain_dataset import data_infos
from ...errors import ConfigError
from ...evaluation.metrics.loader_truth import LoaderTruth


@HOOKS.register_module()
class LoaderTruthHook(Hook):
    """Gives each metric its truth from the loader, before the first step.

    ``CheckedCocoMetric`` and ``CytologyMetric`` take it; one that names another ``ann_file``, left
    over from a base perhaps, is one error. mmdet's own ``CocoMetric`` reads its file as it stands:
    it may stay where it counts the same boxes, and is an error elsewhere.

    Raises:
        ConfigError: An evaluator would measure on something else than the loader loads.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Hand the validation set over, so that errors come before the first step."""
        if runner.val_loop is not None:
            _hand_over(runner.val_loop, 'val')

    def before_val(self, runner: Runner) -> None:
        """Hand the set over to a validation without training."""
        _hand_over(runner.val_loop, 'val')

    def before_test(self, runner: Runner) -> None:
        """Hand the test set over."""
        _hand_over(runner.test_loop, 'test')


def _hand_over(loop: Any, stage: str) -> None:
    evaluator, loader = getattr(loop, 'evaluator', None), getattr(loop, 'dataloader', None)
    if evaluator is None or loader is None:  # a loop of the user's own
        return
    key = f'{stage}_dataloader.dataset'
    for metric in evaluator.metrics:
        if isinstance(metric, LoaderTruth):
            metric.use_dataset(loader.dataset, key)
        elif type(metric) is CocoMetric and metric._coco_api is not None:
            _check_plain(metric, loader.dataset, stage)


def _check_plain(metric: CocoMetric, dataset: Any, stage: str) -> None:
    """Raise if mmdet's metric would count something else than the data set loads."""
    classes = list(dataset.metainfo.get('classes', ()))
    own = truth_of_records(data_infos(dataset), classes, f'{stage}_dataloader.dataset')
    theirs = metric._coco_api
    by_name = {c['name']: c['id'] for c in theirs.dataset['categories']}
    ids = [by_name.get(name) for name in classes]
    anns = [a for a in theirs.dataset['annotations'] if a.get('category_id') in ids]
    if set(own.imgs) != set(theirs.imgs):
        reason = f'its images are not those of {stage}_dataloader'
    elif (
        None in ids
        or ids != sorted(i for i in ids if i is not None)
        or [n for n in by_name if n in classes] != classes
    ):
        reason = 'its category ids do not ascend in the order of the classes'
    elif len(anns) != len(own.anns) or any(not a.get('area') or 'iscrowd' not in a for a in anns):
        reason = f'it has {len(anns)} boxes of these classes, and the data set uses {len(own.anns)}'
    elif any(not isinstance(a['id'], int) or a['id'] < 1 for a in anns):
        reason = 'it has annotation ids below 1, which COCO takes for a miss'
    else:
        return
    raise ConfigError(
        f'{stage}_evaluator: CocoMetric reads its ann_file as it stands, and its AP would be wrong '
        f"({reason}): use type='CheckedCocoMetric' in its place, without ann_file"
    )
