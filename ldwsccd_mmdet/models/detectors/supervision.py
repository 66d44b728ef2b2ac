"""What may teach a student: boxes, image labels, or either, image by image."""

import logging
from collections.abc import Mapping

import torch
from mmdet.structures import DetDataSample, SampleList
from mmdet.utils import InstanceList
from mmengine.logging import MessageHub, print_log
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...datasets.bag_audit import teaches_by_image_labels
from ...errors import ConfigError, DatasetError, check_argument
from ..utils import pad_boxes, pairwise_iou, probabilities

REGIMES = ('box', 'image', 'mixed')
MASK_SOURCES = ('gt', 'mil', 'both')
# a box is in the mask of the distillation if it is rather a cell than not
LIKELY = 0.5


class Supervision:
    """Which labels each image of a batch may show, and what the MIL head's boxes stand for.

    - 'box': the boxes; the classes of an image are those of its boxes.
    - 'image': ``image_labels`` of the image's meta information, class indices. No box is looked at.
    - 'mixed': as the image's ``supervision`` says, 'box' or 'image', which the data set has decided
      before augmentation (:func:`~ldwsccd_mmdet.datasets.bag_audit.teaches_by_image_labels`). To
      the classes of its boxes an image adds its ``image_labels``, if it has any: boxes may be
      missing.

    Args:
        regime: 'box', 'image' or 'mixed'.
        mask_source: Boxes of the distillation's mask, eq. 9: 'gt', 'mil' (pseudo-boxes) or 'both'.
            Images with image labels alone always use 'mil'.
        ignore_mined_negatives: Leave priors on pseudo-boxes that no box accounts for out of the
            student's negatives. Needs ``mil_head.gt_seeds``: without, it did nothing
            (docs/results.md). Cells that are mined before training, ``mined_file`` of the data set,
            come with how sure they are, and need no score.
        mined_score: Score from which on such a pseudo-box counts, in [0, 1]. Where only a share q
            of the cells has boxes a cell scores about q, so it must lie below that.
        pseudo_warmup: Iterations before pseudo-boxes are used for any of this, >= 0. They are the
            runner's, so that resuming goes on with them.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        regime: str = 'box',
        mask_source: str = 'gt',
        ignore_mined_negatives: bool = False,
        mined_score: float = 0.1,
        pseudo_warmup: int = 500,
    ) -> None:
        for name, value, fine, expected in (
            ('regime', regime, regime in REGIMES, f'one of {REGIMES}'),
            ('mask_source', mask_source, mask_source in MASK_SOURCES, f'one of {MASK_SOURCES}'),
            ('mined_score', mined_score, 0 <= mined_score <= 1, 'a number in [0, 1]'),
            ('pseudo_warmup', pseudo_warmup, pseudo_warmup >= 0, 'a number of iterations >= 0'),
        ):
            check_argument(fine, f'model.supervision.{name}', expected, value)
        self.regime = regime
        self.mask_source = mask_source
        self.ignore_mined_negatives = ignore_mined_negatives
        self.mined_score = mined_score
        self.pseudo_warmup = pseudo_warmup

    @property
    def needs_pseudo_boxes(self) -> bool:
        """Whether pseudo-boxes are ever used."""
        return self.regime != 'box' or self.mask_source != 'gt' or self.ignore_mined_negatives

    @property
    def is_warm(self) -> bool:
        """Whether the warm-up is over."""
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        return int(iteration) >= self.pseudo_warmup

    def by_image_labels(self, sample: DetDataSample) -> bool:
        """Whether an image teaches by its image labels alone."""
        if self.regime != 'mixed':
            return self.regime == 'image'
        boxes: list[dict] = [{}] * len(sample.gt_instances)
        return teaches_by_image_labels({**sample.metainfo, 'instances': boxes})

    def known(self, samples: SampleList, device: torch.device) -> InstanceList:
        """Boxes and labels that may be looked at, per image; none where image labels teach."""
        nothing = InstanceData(
            bboxes=torch.zeros((0, 4), device=device),
            labels=torch.zeros(0, dtype=torch.long, device=device),
        )
        return [nothing if self.by_image_labels(s) else s.gt_instances for s in samples]

    def image_labels(
        self, samples: SampleList, known: InstanceList, num_classes: int, device: torch.device
    ) -> Tensor:
        """Classes (N, C) of each image: the probability that one occurs, 0 or 1 if all is known.

        Raises:
            DatasetError: If image labels are to teach an image that has none.
        """
        image: list[int] = []
        label: list[int] = []
        for index, sample in enumerate(samples):
            if self.regime == 'box':
                continue
            labels = sample.metainfo.get('image_labels')
            if labels is None and self.by_image_labels(sample):
                raise DatasetError(
                    f'{sample.metainfo.get("img_path", "an image")}: expected image_labels, class '
                    f"indices, because model.supervision is '{self.regime}', found none; give the "
                    'images of the annotation file image_labels, and end the training pipeline '
                    "with dict(type='PackCellInputs')"
                )
            image += [index] * len(labels or ())
            label += list(labels or ())
        counts = torch.tensor([len(instances) for instances in known], device=device)
        of_boxes = torch.arange(len(samples), device=device).repeat_interleave(counts)
        # log P(class is absent): the boxes are cells or not independently of each other
        absent = torch.zeros(len(samples), num_classes, device=device)
        probs = torch.cat([probabilities(instances) for instances in known])
        of_labels = torch.cat([instances.labels for instances in known])
        absent.index_put_((of_boxes, of_labels), torch.log1p(-probs).to(absent), accumulate=True)
        classes = 1 - absent.exp()
        places = torch.tensor([image, label], dtype=torch.long, device=device)
        classes[places[0], places[1]] = 1
        return classes

    def student_samples(
        self, samples: SampleList, known: InstanceList, pseudo: InstanceList | None, fg_iou: float
    ) -> SampleList:
        """The samples that the student's own loss sees.

        Args:
            samples: The batch.
            known: Of :meth:`known`.
            pseudo: Pseudo-boxes, or None during the warm-up: then image labels teach the student
                nothing yet.
            fg_iou: IoU with a box from which on that box accounts for a pseudo-box.
        """
        ignored = None
        if self.ignore_mined_negatives and pseudo is not None:
            ignored = self._mined(known, pseudo, fg_iou)
        if self.regime == 'box' and ignored is None:
            return samples
        results = []
        for index, (sample, instances) in enumerate(zip(samples, known, strict=True)):
            seen = DetDataSample(metainfo=sample.metainfo)
            if self.by_image_labels(sample):
                found = instances if pseudo is None else pseudo[index]
                seen.gt_instances = InstanceData(bboxes=found.bboxes, labels=found.labels)
            else:
                seen.gt_instances = instances
                given = sample.get('ignored_instances', {})
                parts = [part for part in (given, ignored and ignored[index]) if part]
                if parts:
                    seen.ignored_instances = InstanceData(
                        bboxes=torch.cat([part.bboxes for part in parts]),
                        labels=torch.cat([part.labels for part in parts]),
                    )
            results.append(seen)
        return results

    def mask_bboxes(
        self, samples: SampleList, known: InstanceList, pseudo: InstanceList | None
    ) -> list[Tensor]:
        """Boxes of the distillation's mask, per image; pseudo-boxes not during the warm-up."""
        found = [k.bboxes[:0] for k in known] if pseudo is None else [p.bboxes for p in pseudo]
        sources = {'gt': (True, False), 'mil': (False, True), 'both': (True, True)}
        use_known, use_pseudo = sources[self.mask_source]
        return [
            torch.cat(
                [boxes.bboxes[(probabilities(boxes) >= LIKELY) & use_known]]
                + ([mined] if use_pseudo or self.by_image_labels(sample) else [])
            )
            for sample, boxes, mined in zip(samples, known, found, strict=True)
        ]

    def _mined(
        self, known: InstanceList, pseudo: InstanceList, fg_iou: float
    ) -> list[InstanceData]:
        """Pseudo-boxes that score high and that no box accounts for."""
        mined, _ = pad_boxes([boxes.bboxes for boxes in pseudo])
        given, _ = pad_boxes([boxes.bboxes for boxes in known])
        iou = pairwise_iou(mined, given.to(mined))
        covered = (iou >= fg_iou).any(dim=1)
        return [
            boxes[(boxes.scores >= self.mined_score) & ~cover[: len(boxes)]]
            for boxes, cover in zip(pseudo, covered, strict=True)
        ]


def settle(samples: SampleList, threshold: float = LIKELY) -> SampleList:
    """Make of boxes that may be cells either cells or boxes to be ignored.

    For heads that know nothing of ``probs``.

    Args:
        samples: A batch; not changed.
        threshold: Probability from which on a box is a cell, in [0, 1].

    Returns:
        The samples, without ``probs``; those that had none are the same.
    """
    settled = []
    for sample in samples:
        boxes = sample.gt_instances
        if 'probs' not in boxes:
            settled.append(sample)
            continue
        cell = boxes.probs >= threshold
        plain = InstanceData(bboxes=boxes.bboxes, labels=boxes.labels)
        given = sample.get('ignored_instances')
        parts = [plain[~cell]] + ([given] if given else [])
        result = DetDataSample(metainfo=sample.metainfo)
        result.gt_instances = plain[cell]
        result.ignored_instances = InstanceData(
            bboxes=torch.cat([part.bboxes for part in parts]),
            labels=torch.cat([part.labels for part in parts]),
        )
        settled.append(result)
    return settled


def demand_ignoring(student: nn.Module, parts: Mapping[str, str]) -> None:
    """Check that a student without ``takes_probs`` can ignore what may be a cell and may not.

    mmdet's assigners take boxes to be ignored for background unless ``ignore_iof_thr`` is set, and
    in mmdet's own configs it is -1.

    Args:
        student: A detector.
        parts: Its heads that assign boxes, and where in ``train_cfg`` the assigner of each is.

    Raises:
        ConfigError: An assigner would take them for background; it names the keys.
    """
    lacking = []
    for part, key in parts.items():
        head = getattr(student, part, None)
        held = getattr(head, 'bbox_assigner', getattr(head, 'assigner', None))
        assigners = held if isinstance(held, (list, tuple)) else [held]
        thresholds = [getattr(assigner, 'ignore_iof_thr', None) for assigner in assigners]
        if head is not None and None in thresholds:
            print_log(
                f'model.{part}: {type(head).__name__} cannot ignore boxes: cells that were mined '
                f'with a probability below {LIKELY:g} are background to it',
                logger='current',
                level=logging.WARNING,
            )
        elif any(threshold <= 0 for threshold in thresholds if threshold is not None):
            lacking.append(f'model.train_cfg.{key}.ignore_iof_thr')
    if lacking:
        raise ConfigError(
            f'{" and ".join(lacking)}: expected a number in (0, 1], because cells that were mined '
            f'with a probability below {LIKELY:g} are to be ignored, found -1, which takes them '
            f'for background; --cfg-options {" ".join(f"{key}=0.5" for key in lacking)}, or train '
            'without mined_file'
        )
