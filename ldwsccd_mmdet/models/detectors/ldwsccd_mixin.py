"""LD-WSCCD as a mixin over mmdet's detectors."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList, OptConfigType
from mmengine.logging import print_log
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...errors import ConfigError, InputError, NonFiniteLossError
from ..dense_heads import SSDStudentHead
from ..utils import refuse_old_arguments
from .dead_levels import dead_levels
from .frozen_teacher import FrozenTeacher
from .level_pairs import (
    LevelPairs,
    check_level_pairs,
    feature_strides,
    pair_levels,
)
from .same_priors import same_priors
from .supervision import Supervision, demand_ignoring, settle

TEACHER_KEYS = {'config', 'checkpoint', 'level_pairs', 'cache'}
REMEDY = (
    '; look at the images and boxes of this batch, lower optim_wrapper.optimizer.lr, or set '
    'optim_wrapper.clip_grad'
)
OLD_SUPERVISION = ('mask_source', 'ignore_mined_negatives', 'mined_score', 'pseudo_warmup')
MIL_LOSSES = ('loss_mil', 'loss_refine')
DISTILLATION_LOSSES = ('loss_distill_fg', 'loss_distill_bg', 'loss_distill_attention')
LOGIT_LOSS = 'loss_distill_logits'


class LDWSCCDMixin:
    r"""Adds local distillation and MIL refinement to a detector.

    .. math::
        L = L_{student} + L_{dis} + L_{cls} + L_{ref}

    Put it before a detector of mmdet: ``class LDWSCCD(LDWSCCDMixin, SingleStageDetector)``. The
    student's features are computed once an image and shared by its head, the distillation and the
    MIL head. With a MIL head the detector runs in the order in which one needs the other: the
    student's forward pass and proposals (:meth:`student_forward`), MIL head, its pseudo-boxes, the
    student's loss (:meth:`student_loss_by_feat`), the distillation. Each runs once.

    The teacher is built when it is first needed, by ``init_weights()`` or the first loss: testing
    and inference need neither its config nor its checkpoint.

    Boxes that may be cells, ``gt_instances.probs`` below 1 (:class:`CervicalCellDataset` with
    ``mined_file``), teach :class:`SSDStudentHead` and the MIL head by their expected losses, and
    are in the mask from 0.5 on. Other heads, those of a two-stage student too, take them for cells
    from 0.5 on, and ignore the others; an assigner of theirs that would take boxes to be ignored
    for background (``ignore_iof_thr`` of -1) is refused at the first such box.

    Args:
        *args: As the detector.
        teacher: ``dict(config=..., checkpoint=..., level_pairs=None, cache=None)``, see
            :class:`FrozenTeacher`; or None. ``level_pairs`` lists (student level, teacher level),
            both counted from 0; None pairs the levels of equal stride, found from the maps of the
            first image and said in the log.
        distillation: Config of :class:`LocalDistillationLoss`, whose channels are those of the
            pairs, in their order; or None. Needs ``teacher``.
        logit_distillation: Config of :class:`LogitDistillationLoss`: the teacher's head also
            teaches what it says of each prior. Needs ``teacher``, and SSD heads in both; levels
            whose priors differ are left out. Default: None, for off.
        mil_head: Config of :class:`MILRefinementHead`, or None.
        supervision: What teaches, the arguments of :class:`Supervision`, such as
            ``dict(regime='image')`` for image labels alone. Default: the boxes. All else needs
            ``mil_head``, as does ``proposer``.
        proposer: Config of a proposer whose regions the MIL head gets in training: beside the
            student's, or with image labels alone until the warm-up is over instead of them, which
            are of no use yet.
        **kwargs: As the detector.

    Attributes:
        distillation_weight: Factor of the distillation losses, 1 unless
            :class:`DistillationScheduleHook` sets it. At 0 the teacher does not run.

    Raises:
        ConfigError: If one of ``teacher`` and ``distillation`` is given without the other, if the
            MIL head lacks its proposals or has another number of classes than the detector, or if
            it is missing although pseudo-boxes are wanted.
    """

    #: Heads that assign boxes to priors, and where in ``train_cfg`` their assigner is.
    assigning: ClassVar[Mapping[str, str]] = {'bbox_head': 'assigner'}

    # what mmdet's detectors bring along
    bbox_head: Any
    data_preprocessor: nn.Module
    extract_feat: Callable[[Tensor], tuple[Tensor, ...]]
    parameters: Callable[[], Iterator[nn.Parameter]]
    train_cfg: Any
    train: Callable[..., Any]
    eval: Callable[..., Any]
    test_cfg: Any

    def __init__(
        self,
        *args: Any,
        teacher: OptConfigType = None,
        distillation: OptConfigType = None,
        logit_distillation: OptConfigType = None,
        mil_head: OptConfigType = None,
        supervision: OptConfigType = None,
        proposer: OptConfigType = None,
        **kwargs: Any,
    ) -> None:
        _refuse_old_supervision(supervision, kwargs)
        super().__init__(*args, **kwargs)
        if (teacher is None) != (distillation is None):
            given, missing = ('teacher', 'distillation')[:: 1 if distillation is None else -1]
            raise ConfigError(
                f'model.{missing}: expected a dict because model.{given} is set, found None; set '
                f'both, or set model.{given}=None'
            )
        if teacher is not None and not {'config', 'checkpoint'} <= set(teacher) <= TEACHER_KEYS:
            raise ConfigError(
                'model.teacher: expected dict(config=..., checkpoint=...), and perhaps level_pairs '
                f'and cache, found the keys {sorted(teacher)}'
            )
        self._teacher_cfg = teacher
        self._teacher: FrozenTeacher | None = None
        self._level_pairs: LevelPairs | None = None
        self._teacher_levels = 0
        self._logit_levels: list[int] = []
        self.distillation_weight = 1.0
        self._ignores = False
        self.distillation: Any = MODELS.build(distillation) if distillation is not None else None
        self.logit_distillation: Any = None
        if logit_distillation is not None:
            self._check_logit_distillation()
            self.logit_distillation = MODELS.build(logit_distillation)
        self.mil_head: Any = MODELS.build(mil_head) if mil_head is not None else None
        self.supervision = Supervision(**(supervision or {}))
        self.proposer: Any = TASK_UTILS.build(proposer) if proposer is not None else None
        if self.mil_head is not None:
            self._check_mil_head()
        elif self.supervision.needs_pseudo_boxes or proposer is not None:
            raise ConfigError(
                'model.mil_head: expected a config because model.supervision or model.proposer '
                'needs it, found None'
            )

    def _check_logit_distillation(self) -> None:
        head = getattr(self, 'bbox_head', None)
        if self._teacher_cfg is None or not isinstance(head, SSDStudentHead):
            found = 'none' if self._teacher_cfg is None else type(head).__name__
            raise ConfigError(
                'model.logit_distillation: expected model.teacher and a bbox_head of type '
                f'SSDStudentHead, found {found}; set logit_distillation=None'
            )

    def _check_mil_head(self) -> None:
        if self.num_student_classes != self.mil_head.num_classes:
            raise ConfigError(
                f'model.mil_head.num_classes: expected {self.num_student_classes} as the student, '
                f'found {self.mil_head.num_classes}'
            )

    @property
    def num_student_classes(self) -> int:
        """Number of foreground classes of the student."""
        raise NotImplementedError

    def student_forward(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> tuple[Any, InstanceList]:
        """Run the student's head; its labels are not looked at.

        Returns:
            What :meth:`student_loss_by_feat` takes, and the proposals, ``bboxes`` in pixels of the
            batch tensor, without gradient.
        """
        raise NotImplementedError

    def student_loss_by_feat(
        self, outs: Any, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of the student from its forward pass, for the boxes of the given samples."""
        raise NotImplementedError

    def student_loss(
        self, feats: tuple[Tensor, ...], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of the plain student."""
        raise NotImplementedError

    @property
    def teacher(self) -> FrozenTeacher | None:
        """The teacher, built on first use; None when the config names none."""
        if self._teacher is None and self._teacher_cfg is not None:
            teacher = self._build_teacher(self._teacher_cfg)
            teacher.model.to(next(self.parameters()).device)
            self._teacher = teacher
        return self._teacher

    def _build_teacher(self, teacher: Mapping[str, Any]) -> FrozenTeacher:
        try:
            return FrozenTeacher(
                teacher['config'],
                teacher['checkpoint'],
                self.data_preprocessor,
                teacher.get('cache'),
            )
        except InputError:
            raise
        except Exception as error:
            # nn.Module takes an AttributeError inside a property for "no attribute 'teacher'"
            reason = f'{type(error).__name__}: {" ".join(str(error).split())[:300]}'
            raise ConfigError(
                f"model.teacher: the teacher of '{teacher['config']}' with the weights "
                f"'{teacher['checkpoint']}' cannot be built ({reason})"
            ) from error

    def init_weights(self) -> None:
        """Initialise the student; build the teacher, so that its errors come before training."""
        _ = self.teacher
        super().init_weights()  # type: ignore[misc]

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Any:
        """Let the teacher follow ``.to``, ``.cuda`` and ``.half``."""
        if self._teacher is not None:
            self._teacher.apply(fn)
        return super()._apply(fn, *args, **kwargs)  # type: ignore[misc]

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute all losses of a batch.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            batch_data_samples: Samples with ``gt_instances`` in pixels of the batch tensor, or with
                ``image_labels``, as ``supervision`` says.

        Returns:
            The student's losses, and those of the parts that are there: ``loss_distill_*``,
            ``loss_mil``, ``loss_refine_*``.

        Raises:
            DatasetError: If image labels are to teach an image that has none.
            NonFiniteLossError: If a loss is not finite; it names each such loss, or the teacher
                if its maps are not finite.
        """
        feats = self.extract_feat(batch_inputs)
        mask_bboxes = outs = None
        if self.mil_head is not None:
            losses, mask_bboxes, outs = self._student_and_mil_loss(
                feats, batch_inputs, batch_data_samples
            )
        elif self.logit_distillation is not None:
            outs = self.bbox_head(feats)
            samples = self._for_student(batch_data_samples)
            losses = dict(self.student_loss_by_feat(outs, feats, samples))
        else:
            losses = dict(self.student_loss(feats, self._for_student(batch_data_samples)))
        if self.distillation is not None:
            detection = _detection_loss(losses)
            losses.update(
                self._distillation_loss(
                    feats, batch_inputs, batch_data_samples, mask_bboxes, detection, outs
                )
            )
        try:
            _check_finite(losses)
        except NonFiniteLossError:
            self._blame_teacher(batch_inputs)
            raise
        return losses

    def _blame_teacher(self, batch_inputs: Tensor) -> None:
        """Raise if it is the teacher's maps of a batch that are not finite, and name it."""
        if self.distillation is None or self.teacher is None or self.distillation_weight == 0:
            return
        broken = [
            level
            for level, feat in enumerate(self.teacher.extract_feat(batch_inputs))
            if not feat.isfinite().all()
        ]
        if broken and batch_inputs.isfinite().all():
            raise NonFiniteLossError(
                f'model.teacher: the maps of the teacher {self.teacher.checkpoint} are not finite '
                f'(levels {broken}), so its losses are not; images and rate are not the matter: '
                'give another checkpoint of it, or train it again'
            )

    def _student_and_mil_loss(
        self, feats: tuple[Tensor, ...], batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], list[Tensor], Any]:
        """Losses of student and MIL head, boxes of the distillation's mask, the forward pass."""
        supervision, device = self.supervision, feats[0].device
        known = supervision.known(batch_data_samples, device)
        image_labels = supervision.image_labels(
            batch_data_samples, known, self.num_student_classes, device
        )
        is_warm = supervision.is_warm
        outs, proposals = self.student_forward(feats, batch_data_samples)
        regions = [proposal.bboxes for proposal in proposals]
        if not torch.cat(regions).isfinite().all():
            # RoI pooling would only say that such a box has no size
            samples = self._for_student(batch_data_samples)
            _check_finite(self.student_loss_by_feat(outs, feats, samples))
            raise NonFiniteLossError('non-finite proposals' + REMEDY)
        if self.proposer is not None:
            if supervision.regime == 'image' and not is_warm:
                regions = [boxes[:0] for boxes in regions]
            regions = self._add_proposed(regions, batch_inputs, batch_data_samples)

        metas = [sample.metainfo for sample in batch_data_samples]
        objectness = self.mil_head.see(batch_inputs, metas, self.data_preprocessor)
        logits = self.mil_head(feats, regions)
        pseudo = None
        if supervision.needs_pseudo_boxes and is_warm:
            pseudo = self.mil_head.pseudo_boxes(logits, regions, image_labels)
        samples = supervision.student_samples(
            batch_data_samples, known, pseudo, self.mil_head.fg_iou
        )
        losses = dict(self.student_loss_by_feat(outs, feats, self._for_student(samples)))
        losses.update(self.mil_head.loss_by_feat(logits, regions, image_labels, known, objectness))
        return losses, supervision.mask_bboxes(batch_data_samples, known, pseudo), outs

    def _for_student(self, batch_data_samples: SampleList) -> SampleList:
        """The samples; without ``probs`` if the student's head knows nothing of them."""
        if getattr(getattr(self, 'bbox_head', None), 'takes_probs', False):
            return batch_data_samples
        if not self._ignores and any('probs' in s.gt_instances for s in batch_data_samples):
            demand_ignoring(cast(nn.Module, self), self.assigning)
            self._ignores = True
        return settle(batch_data_samples)

    def _distillation_loss(
        self,
        feats: Sequence[Tensor],
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        bboxes: list[Tensor] | None,
        detection: Tensor,
        outs: Any = None,
    ) -> dict[str, Tensor]:
        """The three losses of eq. 14, and that of the logits, times ``distillation_weight``."""
        weight = self.distillation_weight
        if weight == 0:
            # DistributedDataParallel waits for a gradient of every parameter, be it 0
            zero = feats[0].new_zeros((), dtype=torch.float32)
            for parameter in self.distillation.parameters():
                zero = zero + (parameter * 0).sum()
            logits = (LOGIT_LOSS,) if self.logit_distillation is not None else ()
            return dict.fromkeys((*DISTILLATION_LOSSES, *logits), zero)
        maps = self._teacher_maps(feats, batch_inputs)
        losses = self.distillation(
            **self._distillation_inputs(maps, feats, batch_inputs, batch_data_samples, bboxes),
            detection_loss=detection,
        )
        if self.logit_distillation is not None:
            losses[LOGIT_LOSS] = self._logit_loss(outs[0], tuple(maps.values()))
        return {name: weight * loss for name, loss in losses.items()}

    def _logit_loss(self, cls_scores: list[Tensor], teacher_feats: tuple[Tensor, ...]) -> Tensor:
        """The loss of the logits, from the student's scores and all maps of the teacher."""
        assert self.teacher is not None
        theirs = self.teacher.class_scores(teacher_feats)
        if not self._logit_levels:
            self._logit_levels = same_priors(
                self.bbox_head, self.teacher.model.bbox_head, cls_scores, theirs
            )
            rest = sorted(set(range(len(cls_scores))) - set(self._logit_levels))
            if rest:
                print_log(
                    f'model.logit_distillation: the levels {rest} of the student learn nothing '
                    'from the scores of the teacher, which has other priors there',
                    logger='current',
                )
        ours, theirs = (
            [scores[level] for level in self._logit_levels] for scores in (cls_scores, theirs)
        )
        return self.logit_distillation(
            self.bbox_head.flat_logits(ours), self.bbox_head.flat_logits(theirs)
        )

    def distillation_inputs(
        self,
        feats: Sequence[Tensor],
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        bboxes: list[Tensor] | None = None,
    ) -> dict[str, Any]:
        """Run the teacher, and give what :class:`LocalDistillationLoss` takes.

        Args:
            feats: All maps of the student.
            batch_inputs: The student's normalised images (N, 3, H, W).
            batch_data_samples: Samples with ``gt_instances`` in pixels of the batch tensor.
            bboxes: Boxes of the mask, per image (n, 4); None for those of the samples.

        Returns:
            The keyword arguments ``student_feats`` and ``teacher_feats`` (one map a pair),
            ``bboxes`` and ``input_size``.

        Raises:
            ConfigError: If the levels cannot be paired.
        """
        maps = self._teacher_maps(feats, batch_inputs)
        return self._distillation_inputs(maps, feats, batch_inputs, batch_data_samples, bboxes)

    def _distillation_inputs(
        self,
        maps: Mapping[int, Tensor],
        feats: Sequence[Tensor],
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        bboxes: list[Tensor] | None,
    ) -> dict[str, Any]:
        """What :class:`LocalDistillationLoss` takes, from the teacher's maps by their level."""
        if bboxes is None:
            bboxes = [sample.gt_instances.bboxes for sample in batch_data_samples]
        pairs = self._level_pairs or ()
        return dict(
            student_feats=[feats[student] for student, _ in pairs],
            teacher_feats=tuple(maps[teacher] for _, teacher in pairs),
            bboxes=bboxes,
            input_size=(batch_inputs.shape[2], batch_inputs.shape[3]),
        )

    def _teacher_maps(self, feats: Sequence[Tensor], batch_inputs: Tensor) -> dict[int, Tensor]:
        """Run the teacher: its maps by their level, those of the pairs, or all for its head."""
        assert self.teacher is not None
        first = self._level_pairs is None
        if self._level_pairs is None:
            input_size = (batch_inputs.shape[2], batch_inputs.shape[3])
            teacher_feats = self.teacher.extract_feat(batch_inputs[:1])
            self._teacher_levels = len(teacher_feats)
            self._level_pairs = self._pair_levels(feats, teacher_feats, input_size)
        paired = [teacher for _, teacher in self._level_pairs]
        whole = self.logit_distillation is not None
        levels = list(range(self._teacher_levels)) if whole else paired
        maps = dict(zip(levels, self.teacher.extract_feat(batch_inputs, levels), strict=True))
        if first:
            self._leave_out_dead_levels(paired, [maps[level] for level in paired])
        return maps

    def _leave_out_dead_levels(self, levels: Sequence[int], feats: Sequence[Tensor]) -> None:
        """Give levels of the teacher that are the same for all images the weight 0; say which."""
        dead = dead_levels(feats)
        if not dead:
            return
        self.distillation.leave_out(dead)
        print_log(
            f'model.teacher: its levels {[levels[i] for i in dead]} are the same for all images of '
            'the first batch. They teach nothing, and are left out. Its pretrained layers may have '
            'died in training: train it again with a lower rate for them, as in '
            'optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult=0.1',
            logger='current',
            level=logging.WARNING,
        )

    @property
    def level_pairs(self) -> LevelPairs | None:
        """The (student level, teacher level) in use; None before the first batch."""
        return self._level_pairs

    def _pair_levels(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> LevelPairs:
        """Pair the levels, and say how in the log."""
        given = (self._teacher_cfg or {}).get('level_pairs')
        num_pairs = len(self.distillation.student_channels)
        if given is None:
            pairs = pair_levels(student_feats, teacher_feats, input_size, num_pairs)
        else:
            pairs = check_level_pairs(given, num_pairs, len(student_feats), len(teacher_feats))
        student, teacher = (feature_strides(f, input_size) for f in (student_feats, teacher_feats))
        print_log(
            'Local distillation pairs '
            + ('levels of equal stride: ' if given is None else 'teacher.level_pairs: ')
            + ', '.join(
                f'student {s} (stride {student[s]:.3g}) with teacher {t} ({teacher[t]:.3g})'
                for s, t in pairs
            ),
            logger='current',
        )
        return pairs

    @torch.no_grad()
    def find_regions(
        self, feats: Sequence[Tensor], samples: SampleList, max_per_img: int | None = None
    ) -> InstanceList:
        """Regions of the student's own head outside training: the dense head's, or the RPN's.

        Args:
            feats: The student's feature maps.
            samples: The samples of the batch.
            max_per_img: Regions an image at most; None: as in training (``train_cfg.proposal``).

        Returns:
            Per image ``bboxes`` (R, 4) in pixels of the batch tensor and ``scores`` (R,), falling.
        """
        raise NotImplementedError

    @torch.no_grad()
    def find_pseudo_boxes(
        self, batch_inputs: Tensor, samples: SampleList, image_labels: Tensor
    ) -> InstanceList:
        """Boxes that the refined stages find for the classes of each image; use it in eval mode.

        Their regions are those of training after ``pseudo_warmup``: the student's own, and those
        of ``model.proposer`` if there is one.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            samples: Their samples.
            image_labels: (N, C), true where the class occurs in the image.

        Returns:
            Per image ``bboxes`` (n, 4) in pixels of the image file, ``labels`` (n,) and ``scores``
            (n,).

        Raises:
            ConfigError: If the detector has no MIL head.
        """
        if self.mil_head is None:
            raise ConfigError(
                'model.mil_head: pseudo-boxes come from a MILRefinementHead, found none; choose a '
                'config with one'
            )
        feats = self.extract_feat(batch_inputs)
        bboxes = [region.bboxes for region in self.find_regions(feats, samples)]
        if self.proposer is not None:
            bboxes = self._add_proposed(bboxes, batch_inputs, samples)
        logits = self.mil_head(feats, bboxes)
        found = self.mil_head.pseudo_boxes(logits, bboxes, image_labels.to(feats[0]))
        return [
            InstanceData(
                bboxes=_rescale_to_file(item.bboxes, sample.metainfo),
                labels=item.labels,
                scores=item.scores,
            )
            for item, sample in zip(found, samples, strict=True)
        ]

    def _proposal_settings(self) -> dict[str, Any]:
        """How the student proposes regions in training, else in the test."""
        for settings in (self.train_cfg, self.test_cfg):
            if (settings or {}).get('proposal'):
                return settings['proposal']
        return {}

    def _add_proposed(
        self, bboxes: Sequence[Tensor], batch_inputs: Tensor, samples: SampleList
    ) -> list[Tensor]:
        """Add the regions of ``model.proposer`` to those of the student."""
        metas = [sample.metainfo for sample in samples]
        proposed = self.proposer(batch_inputs, metas, self.data_preprocessor)
        return [
            torch.cat([own, other.bboxes.to(own)])
            for own, other in zip(bboxes, proposed, strict=True)
        ]


def _rescale_to_file(bboxes: Tensor, meta: dict[str, Any]) -> Tensor:
    """Turn boxes (n, 4) of the batch tensor into pixels of the image file."""
    x, y = tuple(meta.get('scale_factor') or (1.0, 1.0))[:2]
    return bboxes / bboxes.new_tensor([x, y, x, y])


def _refuse_old_supervision(supervision: Any, given: dict[str, Any]) -> None:
    """Say what became of the arguments that now are those of ``supervision``."""
    if isinstance(supervision, str):
        raise ConfigError(
            f"model.supervision: expected a dict, found '{supervision}'; write "
            f"supervision=dict(regime='{supervision}')"
        )
    old = [name for name in given if name in OLD_SUPERVISION]
    instead = {name: f'write supervision=dict({name}=...)' for name in old}
    refuse_old_arguments('model', old, instead)


def _detection_loss(losses: dict[str, Any]) -> Tensor:
    """Sum of the student's own losses, without that of the MIL head; no gradient."""
    parts = [
        part.detach().float().mean()
        for name, value in losses.items()
        if 'loss' in name and not name.startswith(MIL_LOSSES)
        for part in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return torch.stack(parts).sum()


def _check_finite(losses: dict[str, Any]) -> None:
    """Raise if a loss is NaN or infinite, with one transfer from the device for all of them."""
    names: list[str] = []
    values: list[Tensor] = []
    for name, value in losses.items():
        if 'loss' not in name:
            continue
        parts = value if isinstance(value, (list, tuple)) else [value]
        names += [name] * len(parts)
        values += [part.detach().float().sum() for part in parts]
    if not values:
        return
    stacked = torch.stack(values)
    if not torch.isfinite(stacked).all():
        bad = sorted(
            {
                f'{name} = {value}'
                for name, value in zip(names, stacked.tolist(), strict=True)
                if not abs(value) < float('inf')
            }
        )
        raise NonFiniteLossError(f'non-finite loss: {", ".join(bad)}' + REMEDY)
