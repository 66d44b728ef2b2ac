"""Multiple-instance head: learns from the classes of an image which of its regions show them."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import ConfigError
from ..losses.mil_loss import image_level_loss, mil_scores
from ..losses.refinement_loss import refinement_loss, refinement_targets


@MODELS.register_module()
class MILRefinementHead(BaseModule):
    r"""MIL head with K refinement stages, eq. 15 and 16 (WSDDN + OICR).

    Features of the proposals go through two fully connected layers and then to two MIL streams over
    C classes (eq. 15) and K stages over C + 1 classes (eq. 16). Stage k learns from stage k - 1,
    stage 1 from the MIL scores; targets carry no gradient. The loss of the head is

    .. math::
        L = w_{mil} L_{cls} + w_{ref} \sum_{k=1}^{K} L_{ref}^{(k)}

    averaged over images. A batch is treated at once, regions of different images never meet: a
    batch of n equals the mean of its n singles.

    Args:
        num_classes: C, without background.
        bbox_roi_extractor: mmdet RoI extractor; its ``featmap_strides`` are those of the first
            levels of the neck.
        num_stages: K >= 1. Not in the paper's print; 3 is OICR's.
        fg_iou: IoU with a seed from which on a region takes its class, in [0, 1]; 0.5 is OICR's.
        fc_out_channels: Width of the two shared fully connected layers.
        dropout: Dropout after each of them, in [0, 1).
        mil_loss_weight: :math:`w_{mil}`.
        refine_loss_weight: :math:`w_{ref}`.
        init_cfg: Initialisation; by default small normal weights for the streams and stages.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        num_classes: Any = None,
        bbox_roi_extractor: ConfigType = None,
        num_stages: int = 3,
        fg_iou: float = 0.5,
        fc_out_channels: int = 1024,
        dropout: float = 0.5,
        mil_loss_weight: float = 1.0,
        refine_loss_weight: float = 1.0,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        if bbox_roi_extractor is None:
            bbox_roi_extractor = dict(
                type='SingleRoIExtractor',
                roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=2),
                out_channels=512,
                featmap_strides=[8],
            )
        if init_cfg is None:
            init_cfg = [
                dict(type='Xavier', layer='Linear', distribution='uniform'),
                dict(
                    type='Normal',
                    std=0.01,
                    override=[dict(name='fc_cls'), dict(name='fc_det'), dict(name='fc_refine')],
                ),
            ]
        super().__init__(init_cfg=init_cfg)
        if not isinstance(num_classes, int) or num_classes < 1:
            raise ConfigError(
                'mil_head.num_classes: expected the number of classes (without background), '
                f'found {num_classes!r}; set it to model.bbox_head.num_classes'
            )
        if num_stages < 1:
            raise ConfigError(f'mil_head.num_stages: expected >= 1, found {num_stages}')
        if not 0 <= fg_iou <= 1:
            raise ConfigError(f'mil_head.fg_iou: expected a number in [0, 1], found {fg_iou}')
        self.num_classes = num_classes
        self.num_stages = num_stages
        self.fg_iou = fg_iou
        self.mil_loss_weight = mil_loss_weight
        self.refine_loss_weight = refine_loss_weight
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        height, width = self.bbox_roi_extractor.roi_layers[0].output_size
        self.shared_fcs = nn.Sequential(
            nn.Flatten(),
            nn.Linear(self.bbox_roi_extractor.out_channels * height * width, fc_out_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(fc_out_channels, fc_out_channels),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
        )
        self.fc_cls = nn.Linear(fc_out_channels, num_classes)
        self.fc_det = nn.Linear(fc_out_channels, num_classes)
        self.fc_refine = nn.ModuleList(
            nn.Linear(fc_out_channels, num_classes + 1) for _ in range(num_stages)
        )

    def _region_features(self, feats: Sequence[Tensor], bboxes: Sequence[Tensor]) -> Tensor:
        """Features (sum of R_i, D) of the regions of a batch."""
        used = feats[: self.bbox_roi_extractor.num_inputs]
        with torch.autocast(device_type=used[0].device.type, enabled=False):
            # float32: bf16 would round the boxes' corners to whole pixels and more; contiguous:
            # mmcv's RoIAlign on the CPU silently misreads a channels_last map
            maps = tuple(feat.float().contiguous() for feat in used)
            pooled = self.bbox_roi_extractor(maps, bbox2roi(list(bboxes)))
        return self.shared_fcs(pooled)

    def forward(
        self, feats: Sequence[Tensor], bboxes: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Compute the logits of all regions of a batch.

        Args:
            feats: The student's maps, one a level; those of ``featmap_strides`` are used.
            bboxes: Per image (R_i, 4), x1, y1, x2, y2 in pixels of the padded batch tensor.

        Returns:
            With R the sum of R_i: classification (R, C) and detection (R, C) stream, and K
            refinement logits (R, C + 1), background last.
        """
        x = self._region_features(feats, bboxes)
        return self.fc_cls(x), self.fc_det(x), [fc(x) for fc in self.fc_refine]

    def loss(
        self, feats: Sequence[Tensor], bboxes: Sequence[Tensor], image_labels: Tensor
    ) -> dict[str, Tensor]:
        """Compute eq. 15 and 16 for a batch.

        Args:
            feats: The student's maps, one a level.
            bboxes: Per image (R_i, 4) proposals in pixels of the padded batch tensor; R_i may be 0.
            image_labels: (N, C), 1 where the class occurs in the image, else 0.

        Returns:
            ``loss_mil`` and ``loss_refine_1`` to ``loss_refine_K``, float32 scalars. An image
            without a region adds 0 to each; all are connected to the graph.

        Raises:
            ValueError: If ``image_labels`` is not (N, C).
        """
        if image_labels.shape != (len(bboxes), self.num_classes):
            raise ValueError(
                f'MILRefinementHead: image_labels must have shape (N, C) = '
                f'{(len(bboxes), self.num_classes)}, got {tuple(image_labels.shape)}'
            )
        cls_logits, det_logits, refine_logits = self(feats, bboxes)
        batch = RegionBatch([len(boxes) for boxes in bboxes], cls_logits.device)
        valid = batch.valid
        regions = batch.pad(torch.cat([boxes.detach() for boxes in bboxes]))

        scores, image_scores = mil_scores(batch.pad(cls_logits), batch.pad(det_logits), valid)
        per_class = image_level_loss(image_scores, image_labels, reduction='none')
        loss_mil = (per_class * valid.any(dim=1, keepdim=True)).mean()
        losses = dict(loss_mil=self.mil_loss_weight * loss_mil)
        for stage, flat_logits in enumerate(refine_logits, start=1):
            logits = batch.pad(flat_logits)
            labels, weights = refinement_targets(
                regions, scores, image_labels, self.fg_iou, valid=valid
            )
            loss = refinement_loss(logits, labels, weights, valid=valid)
            losses[f'loss_refine_{stage}'] = self.refine_loss_weight * loss
            scores = logits.detach().float().softmax(dim=-1)
        return losses

    @torch.no_grad()
    def predict(self, feats: Sequence[Tensor], bboxes: Sequence[Tensor]) -> list[Tensor]:
        """Class probabilities of regions: the mean over the K stages.

        Args:
            feats: The student's maps, one a level.
            bboxes: Per image (R_i, 4) in pixels of the padded batch tensor.

        Returns:
            Per image (R_i, C + 1), float32, background last, each row summing to 1.
        """
        x = self._region_features(feats, bboxes)
        stages = [fc(x).float().softmax(dim=-1) for fc in self.fc_refine]
        mean = torch.stack(stages).mean(dim=0)
        return list(mean.split([len(boxes) for boxes in bboxes]))


class RegionBatch:
    """Regions of a batch, padded to the image that has most.

    Args:
        counts: Regions of each image, R_i.
        device: Where the index tensors live.
    """

    def __init__(self, counts: Sequence[int], device: torch.device | None = None) -> None:
        self.shape = (len(counts), max(counts, default=0))
        per_image = torch.tensor(list(counts), device=device)
        #: Boolean (N, max R_i), false for padding.
        self.valid = torch.arange(self.shape[1], device=device) < per_image[:, None]

    def pad(self, flat: Tensor) -> Tensor:
        """Turn (sum of R_i, D) into (N, max R_i, D), with zeros as padding."""
        padded = flat.new_zeros((*self.shape, flat.shape[-1]))
        return padded.masked_scatter(self.valid[..., None], flat)
