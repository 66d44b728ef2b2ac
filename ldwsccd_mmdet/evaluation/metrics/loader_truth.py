"""Where a metric's truth comes from: what the loader has loaded, not another reading of a file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import numpy as np
from mmengine.logging import print_log
from pycocotools.coco import COCO

from ...datasets.coco_json import (
    index_truth,
    read_coco,
    same_file,
    truth_of_records,
)
from ...datasets.label_counts import warn
from ...datasets.plain_dataset import data_infos, innermost
from ...errors import ConfigError, DatasetError

__all__ = ['LoaderTruth', 'warn_of_max_dets']


class LoaderTruth:
    """Part of a metric: its truth, from the loader's data set or from a file of the same images.

    :class:`~ldwsccd_mmdet.engine.hooks.LoaderTruthHook` hands the data set over before the first
    step. Without the hook the file is what counts.
    """

    truth: COCO | None = None
    ann_file: str | None = None

    def read_truth(self, ann_file: str | None, backend_args: dict | None = None) -> None:
        """Read a file of truth, if one is named.

        Raises:
            DatasetError: The file cannot be used.
        """
        self.ann_file = ann_file
        if ann_file is None:
            return
        name = f'{type(self).__name__}.ann_file: {ann_file}'
        file = read_coco(ann_file, name, backend_args, need_sizes=False)
        problem = file.counts().problem()
        if problem is not None:
            raise DatasetError(problem)
        self.truth = file.index()

    def use_dataset(self, dataset: Any, key: str) -> None:
        """Take the truth from a data set.

        Args:
            dataset: A built data set, with or without wrappers.
            key: Key of its loader in the config, for messages.

        Raises:
            ConfigError: A file of truth was named that is of other images.
        """
        own = truth_of_records(data_infos(dataset), dataset.metainfo.get('classes', ()), key)
        named = getattr(innermost(dataset), 'ann_file', None)
        if self.truth is None or (named and self.ann_file and same_file(named, self.ann_file)):
            self.truth = own
            return
        seen = {i: _last_name(image) for i, image in own.imgs.items()}
        there = {i: _last_name(image) for i, image in self.truth.imgs.items()}
        strange = [i for i in seen if i not in there or there[i] not in ('', seen[i])]
        if strange:
            raise ConfigError(
                f"{type(self).__name__}.ann_file is '{self.ann_file}', whose images are not those "
                f"of {key}, '{named}': {len(strange)} of {len(seen)} are not there, as "
                f"'{seen[strange[0]]}'; leave ann_file out: the truth is then what the loader loads"
            )
        content = self.truth.dataset
        self.truth = index_truth(
            {
                **content,
                'images': [i for i in content['images'] if i['id'] in seen],
                'annotations': [a for a in content['annotations'] if a['image_id'] in seen],
            },
            str(self.ann_file),
        )
        print_log(
            f"{type(self).__name__}: the truth is '{self.ann_file}', not that of {key}",
            logger='current',
        )


def _last_name(image: dict) -> str:
    return PurePosixPath(str(image.get('file_name', '')).replace('\\', '/')).name


def warn_of_max_dets(metric: str, num_truths: np.ndarray, max_dets: int) -> None:
    """Say that an image has more cells of a class than detections count.

    Args:
        metric: Name of the metric.
        num_truths: Cells by image and class, ``(I, C)``.
        max_dets: Detections per image and class that count.
    """
    most = int(num_truths.max(initial=0))
    if most > max_dets:
        warn(
            f'{metric}: an image has {most} boxes of one class, but only {max_dets} detections an '
            f'image and class count, so that no detector can reach an AP of 1: set max_dets={most} '
            'in every evaluator'
        )
