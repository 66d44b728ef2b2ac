"""Dense head of YOLOv4."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import ConfigType, InstanceList, OptConfigType, OptInstanceList, reduce_mean
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn

from ...errors import check_argument
from ..utils import no_autocast
from .grid_head import GridHead, Truths, shape_iou

#: Anchors (w, h) of yolov4.cfg in pixels of its 608 x 608 input, the finest level first.
YOLOV4_ANCHORS = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
# exp of more than this would only overflow: the widest box is 1000 / 16 times its anchor
MAX_LOG_RATIO = math.log(1000 / 16)


class Predictions(NamedTuple):
    """What the maps of N images say of all P priors (levels, rows, columns, anchors), float32.

    Attributes:
        bboxes: (N, P, 4), x1, y1, x2, y2 in pixels of the batch tensor.
        objectness: Logits (N, P).
        classes: Logits (N, P, C).
    """

    bboxes: Tensor
    objectness: Tensor
    classes: Tensor


class Matches(NamedTuple):
    """K pairs of a true box and a prior that must find it.

    Attributes:
        image: (K,), index of the image in the batch.
        prior: (K,), index of the prior in its image.
        gt: (K,), index of the true box among those of the whole batch.
    """

    image: Tensor
    prior: Tensor
    gt: Tensor


@MODELS.register_module()
class YOLOv4Head(GridHead):
    r"""Head of YOLOv4 (Bochkovskiy et al., 2020), with the settings of its ``yolov4.cfg``.

    Each of the three anchors of a cell predicts a box, an objectness and C classes. With the
    sigmoid :math:`\sigma`, cell :math:`(c_x, c_y)`, stride :math:`d`, anchor :math:`(p_w, p_h)` and
    grid sensitivity :math:`s` (``scale_x_y``) the box is

    .. math::
        b_x = d \, (c_x + s \, \sigma(t_x) - (s - 1) / 2), \quad b_w = p_w e^{t_w},

    and so on for y and h: with s > 1 a centre on the edge of its cell is within reach.

    Matching: a true box belongs to the cell that holds its centre, on each level. There it is
    matched with the anchor of the best shape of all levels, and with every anchor of shape IoU
    above ``pos_iou_thr``. The shape IoU is that of both boxes laid on one centre.

    .. math::
        L = \frac{1}{K} \Big( \sum_{pairs} w_{box} (1 - CIoU) + \sum_{pos, c} BCE_{class}
        + \sum_{pos, neg} BCE_{objectness} \Big)

    K counts the pairs of the batch, at least 1 an image. A prior matched with several boxes has the
    classes of all of them. A prior without a match whose predicted box has IoU > ``ignore_iou_thr``
    with a true box is neither positive nor negative. All is computed in float32 whatever the
    autocast, for the whole batch at once.

    Where it differs from Darknet: the box loss is the gradient of CIoU with respect to the map
    itself, where Darknet leaves out the slope of the sigmoid; sums are divided by K, not by the
    batch, hence the weight of the box loss is not ``iou_normalizer`` (0.07).

    Args:
        num_classes: Foreground classes.
        in_channels: Channels of the neck's maps, the finest first. The 3x3 convolution before each
            prediction has twice as many.
        anchor_generator: ``YOLOAnchorGenerator``; its anchors fit an input of 608 px.
        scale_x_y: Grid sensitivity of each level, >= 1.
        pos_iou_thr: See above, in [0, 1]; at 1 only the best anchor is matched.
        ignore_iou_thr: See above, in [0, 1].
        label_smoothing: e in [0, 1): class targets are e / 2 and 1 - e / 2.
        loss_bbox: Box loss on pairs of boxes in pixels.
        loss_cls_weight: Factor of the class loss.
        loss_obj_weight: Factor of the objectness loss.
        norm_cfg: Norm layer.
        act_cfg: Activation.
        train_cfg: Not used.
        test_cfg: ``score_thr`` on objectness x class, ``nms_pre``, ``max_per_img``, and ``nms``:
            one of mmcv's, or ``dict(type='diou_nms', iou_threshold=0.45, beta=0.6)``.
        init_cfg: Initialisation; by default Kaiming, and predictions of probability 0.01.

    Raises:
        ConfigError: If the lists differ in length or a number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: Sequence[int] = (128, 256, 512),
        anchor_generator: ConfigType = dict(
            type='YOLOAnchorGenerator', base_sizes=YOLOV4_ANCHORS, strides=[8, 16, 32]
        ),
        scale_x_y: Sequence[float] = (1.2, 1.1, 1.05),
        pos_iou_thr: float = 0.213,
        ignore_iou_thr: float = 0.7,
        label_smoothing: float = 0.0,
        loss_bbox: ConfigType = dict(type='CompleteIoULoss', loss_weight=5.0),
        loss_cls_weight: float = 1.0,
        loss_obj_weight: float = 1.0,
        norm_cfg: ConfigType = dict(type='BN'),
        act_cfg: ConfigType = dict(type='LeakyReLU', negative_slope=0.1),
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: ConfigType | list[ConfigType] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = [
                dict(type='Kaiming', layer='Conv2d', a=0.1),
                dict(type='Constant', val=1, layer='_BatchNorm'),
            ]
        super().__init__(init_cfg=init_cfg)
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        self.num_classes = num_classes
        self.scale_x_y = tuple(scale_x_y)
        self.pos_iou_thr = pos_iou_thr
        self.ignore_iou_thr = ignore_iou_thr
        self.label_smoothing = label_smoothing
        self.loss_bbox = MODELS.build(loss_bbox)
        self.loss_cls_weight = loss_cls_weight
        self.loss_obj_weight = loss_obj_weight
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        self._check_arguments(len(in_channels))

        self.convs = nn.ModuleList()
        self.preds = nn.ModuleList()
        for channels, num_anchors in zip(
            in_channels, self.prior_generator.num_base_priors, strict=True
        ):
            self.convs.append(
                ConvModule(channels, 2 * channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
            )
            self.preds.append(nn.Conv2d(2 * channels, num_anchors * (5 + num_classes), 1))

    def _check_arguments(self, num_maps: int) -> None:
        num_levels = self.prior_generator.num_levels
        check_argument(
            num_levels == num_maps == len(self.scale_x_y),
            'YOLOv4Head.in_channels, anchor_generator.base_sizes and scale_x_y',
            'one entry a level each',
            (num_maps, num_levels, len(self.scale_x_y)),
        )
        for name, right, expected in (
            ('num_classes', self.num_classes >= 1, '1 or more'),
            ('scale_x_y', min(self.scale_x_y) >= 1, 'numbers of 1 or more'),
            ('pos_iou_thr', 0 <= self.pos_iou_thr <= 1, 'a number in [0, 1]'),
            ('ignore_iou_thr', 0 <= self.ignore_iou_thr <= 1, 'a number in [0, 1]'),
            ('label_smoothing', 0 <= self.label_smoothing < 1, 'a number in [0, 1)'),
        ):
            check_argument(right, f'YOLOv4Head.{name}', expected, getattr(self, name))

    def init_weights(self) -> None:
        """Initialise; at first nothing is an object, and of no class."""
        super().init_weights()
        preds: Iterable[Any] = self.preds
        for pred in preds:
            nn.init.normal_(pred.weight, std=0.01)
            nn.init.zeros_(pred.bias)
            with torch.no_grad():
                pred.bias.view(-1, 5 + self.num_classes)[:, 4:] = bias_init_with_prob(0.01)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor]]:
        """Compute the maps.

        Args:
            x: The neck's maps (N, C_l, H_l, W_l).

        Returns:
            One list of maps (N, A * (5 + C), H_l, W_l), anchor by anchor: x, y, w, h, objectness,
            classes, as in Darknet.
        """
        return ([p(c(level)) for level, c, p in zip(x, self.convs, self.preds, strict=True)],)

    def decode(self, pred_maps: Sequence[Tensor]) -> Predictions:
        """Turn maps (N, A * (5 + C), H_l, W_l) into boxes and logits, float32."""
        sizes = [pred_map.shape[-2:] for pred_map in pred_maps]
        priors = self.prior_generator.grid_priors(sizes, device=pred_maps[0].device)
        num_images, num_values = len(pred_maps[0]), 5 + self.num_classes
        bboxes, logits = [], []
        with no_autocast(pred_maps[0]):
            for pred_map, prior, scale, (stride_x, stride_y) in zip(
                pred_maps, priors, self.scale_x_y, self.prior_generator.strides, strict=True
            ):
                pred = pred_map.permute(0, 2, 3, 1).reshape(num_images, -1, num_values).float()
                stride = prior.new_tensor([stride_x, stride_y])
                centre = (prior[:, :2] + prior[:, 2:]) / 2
                # the same as in the class's formula, as the prior's centre is c + 1/2
                centre = centre + stride * scale * (pred[..., :2].sigmoid() - 0.5)
                size = (prior[:, 2:] - prior[:, :2]) * pred[..., 2:4].clamp(max=MAX_LOG_RATIO).exp()
                bboxes.append(torch.cat([centre - size / 2, centre + size / 2], dim=-1))
                logits.append(pred[..., 4:])
        merged = torch.cat(logits, dim=1)
        return Predictions(torch.cat(bboxes, dim=1), merged[..., 0], merged[..., 1:])

    def match(
        self, gt_bboxes: Tensor, gt_image: Tensor, featmap_sizes: Sequence[Sequence[int]]
    ) -> Matches:
        """Match true boxes with priors, all images at once.

        Args:
            gt_bboxes: True boxes (M, 4) of all images, x1, y1, x2, y2 in pixels of the batch
                tensor.
            gt_image: Image of each (M,).
            featmap_sizes: (H_l, W_l) of each level.

        Returns:
            The pairs, by true box.
        """
        gt_bboxes, device = gt_bboxes.float(), gt_bboxes.device
        anchors = torch.cat(self.prior_generator.base_anchors).to(gt_bboxes)
        anchor_size = anchors[:, 2:] - anchors[:, :2]
        size = gt_bboxes[:, 2:] - gt_bboxes[:, :2]
        iou = shape_iou(size, anchor_size)
        matched = iou > self.pos_iou_thr
        matched |= F.one_hot(iou.argmax(dim=1), len(anchors)).bool()
        gt, anchor = matched.nonzero(as_tuple=True)

        per_cell = torch.tensor(self.prior_generator.num_base_priors, device=device)
        levels = torch.arange(len(per_cell), device=device).repeat_interleave(per_cell)
        first_anchor = per_cell.cumsum(0) - per_cell
        map_size = torch.tensor([(size[1], size[0]) for size in featmap_sizes], device=device)
        per_level = map_size.prod(dim=1) * per_cell
        first_prior = per_level.cumsum(0) - per_level

        level = levels[anchor]
        centre = (gt_bboxes[:, :2] + gt_bboxes[:, 2:])[gt] / 2
        cell = (centre / centre.new_tensor(self.prior_generator.strides)[level]).floor().long()
        # a centre on the right or lower edge of the image belongs to the last cell
        column, row = torch.minimum(cell.clamp(min=0), map_size[level] - 1).unbind(dim=1)
        prior = first_prior[level] + (row * map_size[level, 0] + column) * per_cell[level]
        return Matches(gt_image[gt], prior + anchor - first_anchor[level], gt)

    def loss_by_feat(
        self,
        pred_maps: Sequence[Tensor],
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            pred_maps: As :meth:`forward` gives them.
            batch_gt_instances: Per image ``bboxes`` (n, 4) in pixels of the batch tensor and
                ``labels`` (n,).
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Per image boxes, predictions of which are neither positive
                nor negative.

        Returns:
            ``loss_cls``, ``loss_obj`` and ``loss_bbox``, float32 scalars.
        """
        with no_autocast(pred_maps[0]):
            predictions = self.decode(pred_maps)
            gt = Truths.of(batch_gt_instances, predictions.bboxes)
            matches = self.match(gt.bboxes, gt.image, [m.shape[-2:] for m in pred_maps])

            num_images, num_priors = predictions.objectness.shape
            num_pairs = predictions.bboxes.new_tensor(float(len(matches.gt)))
            avg_factor = reduce_mean(num_pairs).clamp(min=num_images)

            flat, index = (matches.image * num_priors + matches.prior).unique(return_inverse=True)
            class_targets = predictions.classes.new_zeros(len(flat), self.num_classes)
            class_targets[index, gt.labels[matches.gt]] = 1
            class_targets = class_targets * (1 - self.label_smoothing) + self.label_smoothing / 2
            loss_cls = F.binary_cross_entropy_with_logits(
                predictions.classes.flatten(0, 1)[flat], class_targets, reduction='sum'
            )

            truths = self.boxes_to_spare(gt, batch_gt_instances_ignore)
            counts = (self.best_iou(predictions.bboxes, truths) <= self.ignore_iou_thr).flatten()
            counts[flat] = True
            object_targets = torch.zeros_like(predictions.objectness).flatten()
            object_targets[flat] = 1
            loss_obj = F.binary_cross_entropy_with_logits(
                predictions.objectness.flatten(), object_targets, counts.float(), reduction='sum'
            )

            loss_bbox = self.loss_bbox(
                predictions.bboxes[matches.image, matches.prior],
                gt.bboxes[matches.gt],
                avg_factor=avg_factor,
            )
        return dict(
            loss_cls=self.loss_cls_weight * loss_cls / avg_factor,
            loss_obj=self.loss_obj_weight * loss_obj / avg_factor,
            loss_bbox=loss_bbox,
        )

    def predict_by_feat(
        self,
        pred_maps: Sequence[Tensor],
        batch_img_metas: list[dict],
        cfg: OptConfigType = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceList:
        """Turn maps into detections.

        Args:
            pred_maps: As :meth:`forward` gives them.
            batch_img_metas: Per image ``img_shape``, and ``scale_factor`` if ``rescale``.
            cfg: Instead of ``test_cfg``.
            rescale: Give boxes in pixels of the original image rather than of the batch tensor.
            with_nms: Whether to suppress duplicates.

        Returns:
            Per image ``bboxes`` (n, 4), ``scores`` (n,), objectness x class, and ``labels`` (n,).
        """
        cfg = self.test_cfg if cfg is None else cfg
        predictions = self.decode(pred_maps)
        scores = predictions.objectness.sigmoid()[..., None] * predictions.classes.sigmoid()
        return self.detections(predictions.bboxes, scores, batch_img_metas, cfg, rescale, with_nms)
