"""Complete a config from the annotation files that it names: a set of one's own is one leaf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ..datasets import CervicalCellDataset
from ..datasets.coco_json import read_coco
from ..models.utils import set_num_classes

__all__ = ['follow_annotation_files']

STAGES = ('train', 'val', 'test')
_READS_AGAIN = ('CocoMetric', 'mmdet.CocoMetric')


def follow_annotation_files(config: Config) -> None:
    """Let classes, heads and evaluators follow the annotation files, where a config leaves it open.

    - Where no :class:`CervicalCellDataset` says ``metainfo.classes`` and the training file (else
      that of validation or test) has not the paper's eleven, its categories are the classes of all
      of them, and each head gets their number.
    - mmdet's ``CocoMetric`` becomes :class:`CheckedCocoMetric`, which reads the annotation file as
      the data set does.
    - An evaluator whose ``ann_file`` does not list the images of its data set, such as one that a
      base config names, gets the annotation file of its data set.

    What is set stands in the config, and so in its dump. A file that is not there changes nothing:
    the data set will say so.

    Args:
        config: The config; changed.
    """
    parts = [(stage, part) for stage in STAGES for part in _data_sets(config, stage)]
    _set_classes(config, [part for _, part in parts])
    for stage in ('val', 'test'):
        of_stage = [part for name, part in parts if name == stage]
        if len(of_stage) == 1:
            _set_evaluators(config, stage, of_stage[0])


def _data_sets(config: Config, stage: str) -> Iterator[ConfigDict]:
    """Configs of our data sets of a stage, whatever wraps them."""
    loader = config.get(f'{stage}_dataloader') or {}
    waiting = [loader.get('dataset')]
    while waiting:
        part = waiting.pop(0)
        if not isinstance(part, Mapping):
            continue
        waiting += [part.get('dataset'), *(part.get('datasets') or [])]
        kind = part.get('type')
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, CervicalCellDataset):
            yield part


def _ann_file(part: Mapping[str, Any]) -> Path:
    return Path(part.get('data_root') or '') / (part.get('ann_file') or '')


def _set_classes(config: Config, parts: list[ConfigDict]) -> None:
    if any((part.get('metainfo') or {}).get('classes') for part in parts):
        return
    file = next((file for file in map(_ann_file, parts) if file.is_file()), None)
    if file is None:
        return
    content = read_coco(file, need_sizes=False).content
    classes = tuple(category['name'] for category in content['categories'])
    if set(CervicalCellDataset.METAINFO['classes']) <= set(classes):
        return
    for part in parts:
        part.metainfo = ConfigDict(part.get('metainfo') or {}, classes=classes)
    changed = set_num_classes(config.get('model') or {}, len(classes))
    print_log(
        f"classes from '{file}': {', '.join(classes)}; {len(classes)} each: "
        f'{", ".join(changed) or "no head had another number"}',
        logger='current',
    )


def _set_evaluators(config: Config, stage: str, part: ConfigDict) -> None:
    file = _ann_file(part)
    evaluators = config.get(f'{stage}_evaluator') or []
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if isinstance(evaluator, dict) and evaluator.get('type') in _READS_AGAIN:
            evaluator['type'] = 'CheckedCocoMetric'
            print_log(
                f'{stage}_evaluator: CheckedCocoMetric in the place of CocoMetric, so that it '
                'counts the boxes that the data set loads; 100 detections an image and class count',
                logger='current',
            )
        named = evaluator.get('ann_file') if isinstance(evaluator, Mapping) else None
        if not named or Path(named) == file or not file.is_file() or _lists(named, file):
            continue
        print_log(
            f"{stage}_evaluator: '{named}' does not list the images of {stage}_dataloader: "
            f"measured on '{file}'",
            logger='current',
        )
        evaluator['ann_file'] = str(file)


def _lists(named: str, file: Path) -> bool:
    """Tell whether one annotation file lists all images of another."""
    if not Path(named).is_file():
        return '://' in named
    images = [
        {image['file_name'] for image in read_coco(path, need_sizes=False).content['images']}
        for path in (named, file)
    ]
    return images[1] <= images[0]
