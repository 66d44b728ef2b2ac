"""Learns, at the end of a training, how the scores of both heads are joined."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.ops import batched_nms
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from ...errors import ConfigError
from ...evaluation.functional.curves import detection_curve
from ...models.detectors import LDWSCCD
from ...models.utils import pairwise_iou
from .training_state import untouched_training

SOURCES = ('ssd', 'mil', 'fused', 'auto')


class _Finds(NamedTuple):
    """Detections of a set: class, scores joined and of both heads, whether it is a cell; (n,)."""

    labels: Tensor
    scores: Tensor
    ssd: Tensor
    mil: Tensor
    hits: Tensor


@HOOKS.register_module()
class ScoreJoinHook(Hook):
    """Fits :class:`ScoreJoin` before the last checkpoint is written.

    The regions of the held-out images are scored by both heads; after NMS by the geometric mean,
    each counts as a cell or not as AP50 counts: best first, each box once. The log says what AP50
    each head has alone, and both together, and which numbers were fitted. They are kept in the
    checkpoint; ``test_cfg.score_source='auto'`` uses them.

    Does nothing where there is no MIL head, or another ``score_source``. Without validation data
    the join stays the geometric mean, and the log says so, and how to hold a tenth of the training
    images out for it (``fold`` of :class:`CervicalCellDataset`). Images that were trained on will
    not do: there both heads are surer than anywhere else. Never give it the test data.

    Args:
        iou_thr: Overlap from which on a detection is right, in (0, 1].
        ridge: How strongly equal weights are preferred, > 0; see :meth:`ScoreJoin.fit`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    priority = 'NORMAL'  # before CheckpointHook, which keeps the numbers

    def __init__(self, iou_thr: float = 0.5, ridge: float = 10.0) -> None:
        if not 0 < iou_thr <= 1 or not ridge > 0:
            raise ConfigError(
                'ScoreJoinHook: expected iou_thr in (0, 1] and ridge > 0, found '
                f'{iou_thr!r} and {ridge!r}'
            )
        self.iou_thr = iou_thr
        self.ridge = ridge

    def after_train_epoch(self, runner: Runner) -> None:
        """Fit after the last epoch."""
        if runner.epoch + 1 < runner.max_epochs:
            return
        model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not isinstance(model, LDWSCCD) or model.mil_head is None:
            return
        if model.score_source != 'auto':
            return
        loop = runner.val_loop
        if loop is None:
            print_log(
                'There are no validation data to learn from how the scores of both heads are '
                'joined (val_dataloader is None): test_cfg.score_source takes their geometric '
                'mean. To hold a tenth of the training images out for it, set '
                'train_dataloader.dataset.fold=dict(of=10, leave_out=0), and in val_dataloader the '
                'same ann_file with fold=dict(of=10, only=0).',
                logger='current',
            )
            return
        training = model.training
        model.eval()
        with untouched_training(), torch.no_grad():
            scored = list(_score(model, loop.dataloader))
        model.train(training)
        finds = self._finds(model, scored, 'fused')
        model.mil_head.score_join.fit(
            finds.ssd, finds.mil, finds.labels, finds.hits, ridge=self.ridge
        )
        self._log(model, scored)

    def _log(self, model: LDWSCCD, scored: list[tuple[InstanceData, InstanceData]]) -> None:
        aps = {source: 100 * self._ap(model, scored, source) for source in SOURCES}
        join = model.mil_head.score_join
        weights = ', '.join(f'{weight:.3f}' for weight in join.weights.tolist())
        biases = ', '.join(f'{bias:.2f}' for bias in join.bias.tolist())
        print_log(
            f'Scores of both heads on {len(scored)} held-out images, AP50: '
            + ', '.join(f'{source} {ap:.1f}' for source, ap in aps.items())
            + f'. Fitted weights of log p_ssd, log p_mil: {weights}; biases: {biases}',
            logger='current',
        )

    def _finds(
        self, model: LDWSCCD, scored: list[tuple[InstanceData, InstanceData]], source: str
    ) -> _Finds:
        """Detections after NMS by one source, each right or wrong."""
        parts: list[_Finds] = []
        for regions, truth in scored:
            joined = model.joined_scores(regions, source)
            row, label = (joined >= model.test_cfg['score_thr']).nonzero(as_tuple=True)
            boxes = regions.bboxes[row] if regions.bboxes.dim() == 2 else regions.bboxes[row, label]
            score = joined[row, label]
            if not len(row):
                continue
            _, keep = batched_nms(boxes, score, label, model.test_cfg['nms'])
            row, label, boxes = row[keep], label[keep], boxes[keep]
            hits = _hits(boxes, label, truth.bboxes, truth.labels, self.iou_thr)
            ssd, mil = regions.ssd_probs[row, label], regions.mil_probs[row, label]
            parts.append(_Finds(label, score[keep], ssd, mil, hits.to(label.device)))
        if not parts:
            empty = torch.zeros(0)
            return _Finds(empty.long(), empty, empty, empty, empty.bool())
        return _Finds(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))

    def _ap(
        self, model: LDWSCCD, scored: list[tuple[InstanceData, InstanceData]], source: str
    ) -> float:
        """AP50, mean over the classes that occur."""
        finds = self._finds(model, scored, source)
        totals = torch.cat([truth.labels.cpu() for _, truth in scored]).bincount(
            minlength=model.num_student_classes
        )
        aps = []
        for label, total in enumerate(totals.tolist()):
            own = finds.labels == label
            if total:
                order = finds.scores[own].argsort(descending=True, stable=True)
                hits = finds.hits[own][order].numpy()
                curve = detection_curve(finds.scores[own][order].numpy(), hits, total)
                aps.append(_area(curve.recall, curve.precision))
        return float(np.mean(aps)) if aps else float('nan')


def _score(model: LDWSCCD, loader: Any) -> Iterator[tuple[InstanceData, InstanceData]]:
    """Regions with both scores, and truth, of each image, in pixels of its file."""
    for batch in loader:
        data = model.data_preprocessor(copy.copy(batch), False)
        metas = [sample.metainfo for sample in data['data_samples']]
        scored = model.scored_regions(data['inputs'], metas)
        for regions, sample in zip(scored, data['data_samples'], strict=True):
            scale = regions.bboxes.new_tensor(sample.scale_factor).repeat(2)
            truth = InstanceData(
                bboxes=sample.gt_instances.bboxes.to(scale), labels=sample.gt_instances.labels
            )
            regions.bboxes = regions.bboxes / scale
            yield regions, truth


def _hits(
    bboxes: Tensor, labels: Tensor, truths: Tensor, truth_labels: Tensor, iou_thr: float
) -> Tensor:
    """Whether each detection, best first, meets a truth of its class that none before it met."""
    hits = torch.zeros(len(bboxes), dtype=torch.bool)
    if not len(truths) or not len(bboxes):
        return hits
    iou = pairwise_iou(truths[None], bboxes[None])[0].cpu()
    iou = iou.masked_fill(labels[:, None].cpu() != truth_labels[None].cpu(), 0)
    for row in (iou >= iou_thr).any(dim=1).nonzero().flatten().tolist():
        best = int(iou[row].argmax())
        if iou[row, best] >= iou_thr:
            hits[row] = True
            iou[:, best] = 0
    return hits


def _area(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area below the precision that is reached at a recall or beyond it."""
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.r_[0, recall]) * envelope))
