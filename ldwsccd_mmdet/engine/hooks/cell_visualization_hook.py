"""Pictures of detections: one of each image, also where two have one name."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mmcv
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.fileio import get
from mmengine.runner import Runner

from ...datasets.plain_dataset import data_infos


@HOOKS.register_module()
class CellVisualizationHook(DetVisualizationHook):
    """Draws as mmdet's hook does, and keeps each picture of a test.

    mmdet's takes the last part of an image's name, so that of ``a/1.jpg`` and ``b/1.jpg`` one
    picture is left. Here names that occur twice keep their folders: ``test_out_dir/a/1.jpg``.

    Each validation leaves pictures of the first :attr:`VAL_PICTURES` images in
    ``vis_data/val_pictures/`` of the run, whether ``draw`` is set or not: those of the one before
    are overwritten, and the page of the training shows them.

    Args: see :class:`mmdet.engine.hooks.DetVisualizationHook`.
    """

    VAL_PICTURES = 2

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Draw the detections of the first images.

        Args:
            runner: The runner.
            batch_idx: Place of the batch.
            data_batch: Passed on.
            outputs: Detections of the batch.
        """
        super().after_val_iter(runner, batch_idx, data_batch, outputs)
        if batch_idx or not is_main_process():
            return
        folder = Path(runner.work_dir) / runner.timestamp / 'vis_data' / 'val_pictures'
        for index, sample in enumerate(outputs[: self.VAL_PICTURES]):
            if 'img_path' not in sample:  # a pipeline of the user's own may leave it out
                continue
            file = get(sample.img_path, backend_args=self.backend_args)
            self._visualizer.add_datasample(
                'val_pictures',
                mmcv.imfrombytes(file, channel_order='rgb'),
                data_sample=sample,
                pred_score_thr=self.score_thr,
                out_file=str(folder / f'{index}_{Path(sample.img_path).stem}.jpg'),
            )

    def before_test(self, runner: Runner) -> None:
        """Name the pictures, and make their folder."""
        self._names: dict[str, str] = {}
        if not self.draw or self.test_out_dir is None:
            return
        self._folder = Path(runner.work_dir) / runner.timestamp / self.test_out_dir
        paths = [info['img_path'] for info in data_infos(runner.test_loop.dataloader.dataset)]
        self._names = picture_names(paths)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        """Draw the detections of one batch.

        Args:
            runner: The runner.
            batch_idx: Place of the batch.
            data_batch: Not used.
            outputs: Detections of the batch.
        """
        if not self.draw:
            return
        for sample in outputs:
            self._test_index += 1
            name = self._names.get(sample.img_path, os.path.basename(sample.img_path))
            file = get(sample.img_path, backend_args=self.backend_args)
            self._visualizer.add_datasample(
                name if self.show else 'test_img',
                mmcv.imfrombytes(file, channel_order='rgb'),
                data_sample=sample,
                show=self.show,
                wait_time=self.wait_time,
                pred_score_thr=self.score_thr,
                out_file=None if self.test_out_dir is None else str(self._folder / name),
                step=self._test_index,
            )


def picture_names(paths: Sequence[str]) -> dict[str, str]:
    """Name a picture for each image, each its own.

    Args:
        paths: The image files.

    Returns:
        ``{path: name}``: the last part of the path; where one occurs twice, from the folder on
        that all images share.
    """
    names = {path: os.path.basename(path) for path in paths}
    counts = Counter(names.values())
    twice = [path for path, name in names.items() if counts[name] > 1]
    if twice:
        root = os.path.commonpath([os.path.abspath(os.path.dirname(path)) for path in paths])
        names.update({path: os.path.relpath(os.path.abspath(path), root) for path in twice})
    return names
