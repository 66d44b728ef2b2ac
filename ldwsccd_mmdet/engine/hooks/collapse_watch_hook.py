"""The pseudo-boxes of training images, measured at each validation."""

from typing import Any

import numpy as np
import torch
from mmdet.registry import HOOKS, METRICS
from mmdet.structures import DetDataSample
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, autocast
from mmengine.structures import InstanceData

from ...datasets.bag_audit import bag_labels
from ...datasets.plain_dataset import build_plain_dataset
from ...errors import check_argument
from .training_state import untouched_training


@HOOKS.register_module()
class CollapseWatchHook(Hook):
    """Finds pseudo-boxes on training images and logs how right they are, beside the val metrics.

    The images are evenly spread over the training set, the same at each validation, and read
    without augmentation. The MIL head gets what training gives it after ``pseudo_warmup``: regions
    of the student and of ``model.proposer``, and the classes of the image. CorLoc
    and AP (see :class:`PseudoBoxMetric`) stand in the log under ``pseudo/``; where the pseudo-boxes
    of a class lie on one part of its cells, or on the whole image, a warning says so and what to
    do. Nothing happens where the model has no MIL head.

    Args:
        ann_file: COCO json of the true boxes of the training images, where the training set has
            image labels alone. None: the training set's own boxes; without any, only collapses onto
            the whole image are seen.
        num_images: Training images at most.
        interval: Validations from one look to the next.
        batch_size: Images at once.
        metric: Further arguments of :class:`PseudoBoxMetric`.

    Raises:
        ConfigError: An argument is out of its range, or the training set cannot be read without its
            augmentation (see :func:`plain_dataset_config`).
    """

    priority = 'NORMAL'  # before LoggerHook, which writes the line

    def __init__(
        self,
        ann_file: str | None = None,
        num_images: int = 64,
        interval: int = 1,
        batch_size: int = 4,
        metric: dict[str, Any] | None = None,
    ) -> None:
        for name, value in (
            ('num_images', num_images),
            ('interval', interval),
            ('batch_size', batch_size),
        ):
            right = isinstance(value, int) and value >= 1
            key = f'CollapseWatchHook.{name}'
            check_argument(right, key, 'a whole number of at least 1', value)
        self.num_images = num_images
        self.interval = interval
        self.batch_size = batch_size
        self.metric = METRICS.build(
            {'type': 'PseudoBoxMetric', 'ann_file': ann_file, **(metric or {})}
        )
        self._dataset: Any = None
        self._validations = 0

    def before_train(self, runner: Runner) -> None:
        """Build the data set, so that its errors come before the first step."""
        if getattr(_detector(runner), 'mil_head', None) is not None and runner.rank == 0:
            self._dataset = build_plain_dataset(runner.cfg, 'train')
            self.metric.dataset_meta = self._dataset.metainfo

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Look at the pseudo-boxes, on the first process."""
        if self._dataset is None:
            return
        self._validations += 1
        if self._validations % self.interval:
            return
        with untouched_training(), autocast(enabled=getattr(runner.val_loop, 'fp16', False)):
            self._look(_detector(runner))
        # not evaluate(), which waits for the other processes
        values = self.metric.compute_metrics(self.metric.results)
        self.metric.results.clear()
        for name, value in values.items():
            runner.message_hub.update_scalar(f'val/{self.metric.prefix}/{name}', value)

    def _look(self, model: Any) -> None:
        """Hand the pseudo-boxes of the chosen images to the metric."""
        dataset = self._dataset
        count = min(self.num_images, len(dataset))
        indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)
        num_classes = len(dataset.metainfo['classes'])
        training = model.training
        model.eval()
        for start in range(0, count, self.batch_size):
            chosen = [int(index) for index in indices[start : start + self.batch_size]]
            batch = model.data_preprocessor(pseudo_collate([dataset[i] for i in chosen]), False)
            records = [dataset.get_data_info(i) for i in chosen]
            labels = [bag_labels(r, num_classes, model.supervision.regime) for r in records]
            found = model.find_pseudo_boxes(
                batch['inputs'], batch['data_samples'], torch.tensor(np.stack(labels))
            )
            samples = [
                _sample(record, sample, boxes)
                for record, sample, boxes in zip(records, batch['data_samples'], found, strict=True)
            ]
            self.metric.process(batch, samples)
        model.train(training)


def _detector(runner: Runner) -> Any:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _sample(record: dict, sample: DetDataSample, found: InstanceData) -> dict[str, Any]:
    """What the metric takes: pseudo-boxes and truth in pixels of the image file."""
    cells = [cell for cell in record['instances'] if not cell['ignore_flag']]
    truth = {
        'bboxes': torch.tensor([cell['bbox'] for cell in cells]).reshape(-1, 4).double(),
        'labels': torch.tensor([cell['bbox_label'] for cell in cells], dtype=torch.long),
    }
    return {
        'img_id': sample.img_id,
        'ori_shape': sample.ori_shape,
        'pred_instances': found,
        'gt_instances': truth,
    }
