"""Region layer of YOLOv2."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import ConfigType, InstanceList, OptConfigType, OptInstanceList
from mmengine.dist import get_world_size
from torch import Tensor, nn

from ...errors import check_argument
from ..utils import at_least_float32, no_autocast
from .grid_head import GridHead, Truths, aligned_iou, shape_iou
from .yolov4_head import MAX_LOG_RATIO

#: Anchors (w, h) of yolov2.cfg in pixels: its numbers are in cells of 32 px.
YOLOV2_ANCHORS = (
    (
        (18.3274, 21.6763),
        (59.9827, 66.0010),
        (106.8298, 175.1789),
        (252.2502, 112.8890),
        (312.6566, 293.3850),
    ),
)


class RegionPredictions(NamedTuple):
    """What the map of N images says of all P priors (rows, columns, anchors).

    Attributes:
        bboxes: (N, P, 4), x1, y1, x2, y2 in pixels of the batch tensor.
        coords: (N, P, 4): sigmoid of t_x and t_y, in cells from the cell's corner; t_w, t_h.
        objectness: Sigmoid of t_o, (N, P).
        classes: Logits (N, P, C).
    """

    bboxes: Tensor
    coords: Tensor
    objectness: Tensor
    classes: Tensor


@MODELS.register_module()
class YOLOv2Head(GridHead):
    r"""Head of YOLOv2 (Redmon and Farhadi, 2017): a 1x1 convolution and the region loss.

    Each of the A anchors of a cell predicts a box, an objectness and C classes. With the sigmoid
    :math:`\sigma`, cell :math:`(c_x, c_y)`, stride :math:`d` and anchor :math:`(p_w, p_h)` it is

    .. math::
        b_x = d \, (c_x + \sigma(t_x)), \quad b_w = p_w e^{t_w}, \quad
        \Pr(object) \cdot IoU = \sigma(t_o),

    and so on for y and h. A true box belongs to the cell of its centre and, there, to the anchor of
    the best shape; of two that meet there, the later one counts. The paper gives no formula for the
    loss; this is that of the published code, whose gradients are the derivatives of

    .. math::
        L = \frac{1}{N} \sum_{pos} \Big( \frac{\lambda_{coord}}{2} (2 - wh)
        \big[ (\sigma(t_x) - x)^2 + (\sigma(t_y) - y)^2 + (t_w - \ln \tfrac{w}{p_w})^2
        + (t_h - \ln \tfrac{h}{p_h})^2 \big]
        + \frac{\lambda_{obj}}{2} (\sigma(t_o) - IoU)^2 - \lambda_{class} \ln p_{class} \Big)
        + \frac{1}{N} \sum_{neg} \frac{\lambda_{noobj}}{2} \sigma(t_o)^2
        + \frac{1}{N} \sum_{\overline{pos}} \frac{\lambda_{prior}}{2} \big[
        (\sigma(t_x) - \tfrac12)^2 + (\sigma(t_y) - \tfrac12)^2 + t_w^2 + t_h^2 \big]

    with N images, x and y in cells from the cell's corner, and :math:`wh` the true box's share of
    the image, so that small boxes count up to twice. IoU is that of the predicted box, as a target
    without gradient. A prior without a true box whose predicted box has IoU > ``ignore_iou_thr``
    with one is no negative. The last term draws the boxes of all unmatched priors to their anchors
    during the first ``prior_images`` images. The classes are a softmax. All is computed in float32
    whatever the autocast, for the whole batch at once.

    Where it differs from Darknet: a true box is at least a pixel wide and high.

    Args:
        num_classes: Foreground classes.
        in_channels: Channels of the neck's one map.
        anchor_generator: ``YOLOAnchorGenerator`` of one level; the default has the anchors of
            ``yolov2.cfg``. ``ldwsccd anchors`` finds those of a data set.
        ignore_iou_thr: See above, in [0, 1].
        loss_coord_weight: See above.
        loss_obj_weight: See above.
        loss_noobj_weight: See above.
        loss_cls_weight: See above.
        loss_prior_weight: See above.
        prior_images: Images, over all processes, until the last term goes. How many were seen is
            kept in the state dict, ``seen``.
        train_cfg: Not used.
        test_cfg: ``score_thr`` on objectness x class, ``nms_pre``, ``nms`` and ``max_per_img``.
        init_cfg: Initialisation; by default normal with a deviation of 0.01.

    Raises:
        ConfigError: If there is not one level, or a number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1024,
        anchor_generator: ConfigType = dict(
            type='YOLOAnchorGenerator', base_sizes=YOLOV2_ANCHORS, strides=[32]
        ),
        ignore_iou_thr: float = 0.6,
        loss_coord_weight: float = 1.0,
        loss_obj_weight: float = 5.0,
        loss_noobj_weight: float = 1.0,
        loss_cls_weight: float = 1.0,
        loss_prior_weight: float = 0.01,
        prior_images: int = 12800,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: ConfigType | list[ConfigType] = dict(type='Normal', layer='Conv2d', std=0.01),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.prior_generator = TASK_UTILS.build(anchor_generator)
        levels = self.prior_generator.num_levels
        for name, value, right, expected in (
            ('num_classes', num_classes, num_classes >= 1, '1 or more'),
            ('anchor_generator.base_sizes', levels, levels == 1, 'one level'),
            ('ignore_iou_thr', ignore_iou_thr, 0 <= ignore_iou_thr <= 1, 'a number in [0, 1]'),
            ('prior_images', prior_images, prior_images >= 0, '0 or more'),
        ):
            check_argument(right, f'YOLOv2Head.{name}', expected, value)
        self.num_classes = num_classes
        self.ignore_iou_thr = ignore_iou_thr
        self.loss_coord_weight = loss_coord_weight
        self.loss_obj_weight = loss_obj_weight
        self.loss_noobj_weight = loss_noobj_weight
        self.loss_cls_weight = loss_cls_weight
        self.loss_prior_weight = loss_prior_weight
        self.prior_images = prior_images
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        num_anchors = self.prior_generator.num_base_priors[0]
        self.pred = nn.Conv2d(in_channels, num_anchors * (5 + num_classes), 1)
        self.seen: Tensor
        self.register_buffer('seen', torch.zeros((), dtype=torch.long))

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor]:
        """Compute the map.

        Args:
            x: The neck's one map (N, C_in, H, W).

        Returns:
            (N, A * (5 + C), H, W), anchor by anchor: x, y, w, h, objectness, classes, as in
            Darknet.
        """
        return (self.pred(x[0]),)

    def _anchor_sizes(self, like: Tensor) -> Tensor:
        """Widths and heights of the anchors, (A, 2), pixels."""
        anchors = self.prior_generator.base_anchors[0].to(like)
        return anchors[:, 2:] - anchors[:, :2]

    def decode(self, pred_map: Tensor) -> RegionPredictions:
        """Turn a map (N, A * (5 + C), H, W) into boxes, at least float32."""
        num_images, _, height, width = pred_map.shape
        stride_x, stride_y = self.prior_generator.strides[0]
        with no_autocast(pred_map):
            pred = at_least_float32(pred_map).permute(0, 2, 3, 1)
            pred = pred.reshape(num_images, height, width, -1, 5 + self.num_classes)
            xy = pred[..., :2].sigmoid()
            cell = torch.stack(
                torch.meshgrid(torch.arange(width), torch.arange(height), indexing='xy'), dim=-1
            ).to(xy)
            centre = (cell[:, :, None] + xy) * xy.new_tensor([stride_x, stride_y])
            size = self._anchor_sizes(xy) * pred[..., 2:4].clamp(max=MAX_LOG_RATIO).exp()
            bboxes = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
            coords = torch.cat([xy, pred[..., 2:4]], dim=-1)
        return RegionPredictions(
            bboxes.flatten(1, 3),
            coords.flatten(1, 3),
            pred[..., 4].sigmoid().flatten(1, 3),
            pred[..., 5:].flatten(1, 3),
        )

    def match(self, truths: Truths, map_size: tuple[int, int], num_images: int) -> Tensor:
        """Find the true box of each prior.

        Args:
            truths: The M true boxes of the batch.
            map_size: H and W of the map.
            num_images: N.

        Returns:
            (N * P,), index of the true box, the last where there are several; -1 for none.
        """
        height, width = map_size
        anchors = self._anchor_sizes(truths.bboxes)
        anchor = shape_iou(truths.size(), anchors).argmax(dim=1)
        stride = truths.bboxes.new_tensor(self.prior_generator.strides[0])
        cell = (truths.centre() / stride).floor().long().clamp(min=0)
        # a centre on the right or lower edge of the image belongs to the last cell
        column, row = cell[:, 0].clamp(max=width - 1), cell[:, 1].clamp(max=height - 1)
        prior = ((truths.image * height + row) * width + column) * len(anchors) + anchor
        best = torch.full((num_images * height * width * len(anchors),), -1, device=prior.device)
        order = torch.arange(len(prior), device=prior.device)
        return best.scatter_reduce(0, prior, order, 'amax')

    def _coord_targets(
        self, truths: Truths, gt: Tensor, anchor: Tensor, map_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Targets (K, 4) of ``coords`` for pairs of a true box and an anchor, and 2 - wh (K, 1)."""
        stride = truths.bboxes.new_tensor(self.prior_generator.strides[0])
        limit = truths.bboxes.new_tensor([map_size[1] - 1, map_size[0] - 1])
        centre = truths.centre()[gt] / stride
        xy = centre - torch.minimum(centre.floor().clamp(min=0), limit)
        size = truths.size()[gt]
        log_size = (size / self._anchor_sizes(size)[anchor]).log()
        share = size.prod(dim=1, keepdim=True) / (stride * (limit + 1)).prod()
        return torch.cat([xy, log_size], dim=1), 2 - share

    def loss_by_feat(
        self,
        pred_map: Tensor,
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, and count its images.

        Args:
            pred_map: As :meth:`forward` gives it.
            batch_gt_instances: Per image ``bboxes`` (n, 4) in pixels of the batch tensor and
                ``labels`` (n,).
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Per image boxes, predictions of which are neither positive
                nor negative.

        Returns:
            ``loss_cls``, ``loss_obj``, ``loss_bbox`` and ``loss_prior``, scalars of at least
            float32.
        """
        with no_autocast(pred_map):
            found = self.decode(pred_map)
            num_images, map_size = len(pred_map), (pred_map.shape[2], pred_map.shape[3])
            truths = Truths.of(batch_gt_instances, found.bboxes)
            match = self.match(truths, map_size, num_images)
            positive = match >= 0
            gt, prior = match[positive], positive.nonzero()[:, 0]

            coords = found.coords.flatten(0, 1)
            anchor = prior % self.prior_generator.num_base_priors[0]
            targets, small = self._coord_targets(truths, gt, anchor, map_size)
            loss_bbox = (small * (coords[prior] - targets).square()).sum() / 2
            centred = coords - coords.new_tensor([0.5, 0.5, 0, 0])
            loss_prior = centred[~positive].square().sum() / 2

            classes = found.classes.flatten(0, 1)[prior]
            loss_cls = F.cross_entropy(classes, truths.labels[gt], reduction='sum')

            iou = aligned_iou(found.bboxes.flatten(0, 1)[prior].detach(), truths.bboxes[gt])
            objectness = found.objectness.flatten()
            loss_obj = self.loss_obj_weight * (objectness[prior] - iou).square().sum()
            boxes = self.boxes_to_spare(truths, batch_gt_instances_ignore)
            best = self.best_iou(found.bboxes, boxes).flatten()
            negative = ~positive & (best <= self.ignore_iou_thr)
            loss_noobj = self.loss_noobj_weight * objectness[negative].square().sum()

            early = (self.seen < self.prior_images).to(coords)
            self.seen += num_images * get_world_size()
        return dict(
            loss_cls=self.loss_cls_weight * loss_cls / num_images,
            loss_obj=(loss_obj + loss_noobj) / 2 / num_images,
            loss_bbox=self.loss_coord_weight * loss_bbox / num_images,
            loss_prior=self.loss_prior_weight * early * loss_prior / num_images,
        )

    def predict_by_feat(
        self,
        pred_map: Tensor,
        batch_img_metas: list[dict],
        cfg: OptConfigType = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceList:
        """Turn the map into detections, with scores objectness x class.

        See :meth:`GridHead.detections` for arguments and result.
        """
        found = self.decode(pred_map)
        scores = found.objectness[..., None] * found.classes.softmax(dim=-1)
        cfg = self.test_cfg if cfg is None else cfg
        return self.detections(found.bboxes, scores, batch_img_metas, cfg, rescale, with_nms)
