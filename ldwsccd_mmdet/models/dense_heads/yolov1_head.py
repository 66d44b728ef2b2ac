"""Grid head of YOLOv1."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, InstanceList, OptConfigType, OptInstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ...errors import check_argument
from ..utils import at_least_float32, no_autocast
from ..utils.local_conv import LocalConv2d
from .grid_head import GridHead, Truths, aligned_iou


class GridPredictions(NamedTuple):
    """What the network says of N images, at least float32.

    Attributes:
        classes: (N, S * S, C), numbers of each cell (rows, columns).
        confidence: (N, S * S, B).
        coords: (N, S * S, B, 4): x and y in cells from the cell's corner; roots of w and h, in
            images.
        bboxes: (N, S * S, B, 4), x1, y1, x2, y2 in pixels of the batch tensor.
    """

    classes: Tensor
    confidence: Tensor
    coords: Tensor
    bboxes: Tensor


@MODELS.register_module()
class YOLOv1Head(GridHead):
    r"""Head of YOLOv1 (Redmon et al., 2016): local layer, dropout, connected layer, and its loss.

    The image is S x S cells. Each predicts C classes and B boxes with a confidence each, all of
    them plain numbers of the last layer. Layers and numbers are those of the published
    ``yolov1.cfg``: a locally connected layer of 256 channels where the paper has a connected one
    of 4096 numbers, and B = 3 where it has 2. A box's width and height are the squares of what is
    predicted, in images, so that eq. 3 takes the roots as they are.

    The cell of a true box's centre must find it; of two boxes in a cell the first counts. There the
    box that overlaps it most is responsible or, if none does, the one whose four numbers are
    nearest. Eq. 3, divided by the N images of the batch, with :math:`\hat{C}` the IoU of the
    predicted box, a target without gradient:

    .. math::
        L = \frac{1}{N} \Big( \lambda_{coord} \sum_{obj} \big[ (x - \hat{x})^2 + (y - \hat{y})^2
        + (\sqrt{w} - \sqrt{\hat{w}})^2 + (\sqrt{h} - \sqrt{\hat{h}})^2 \big]
        + \sum_{obj} (C - \hat{C})^2 + \lambda_{noobj} \sum_{noobj} C^2
        + \sum_{obj\ cells, c} (p(c) - \hat{p}(c))^2 \Big)

    All is computed in float32 whatever the autocast, for the whole batch at once.

    Args:
        num_classes: Foreground classes.
        in_channels: Channels of the neck's map.
        side: S. The image must have ``side * stride`` pixels a side.
        stride: Pixels of a cell.
        num_boxes: B.
        local_channels: Channels of the local layer.
        dropout: Share of the local layer's numbers that are left out while training.
        loss_coord_weight: :math:`\lambda_{coord}`.
        loss_noobj_weight: :math:`\lambda_{noobj}`.
        train_cfg: Not used.
        test_cfg: ``score_thr`` on confidence x class, both within [0, 1], ``nms_pre``, ``nms`` and
            ``max_per_img``.
        init_cfg: Initialisation; by default normal with a deviation of 0.01 for the last layer.

    Raises:
        ConfigError: If a number is outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 1024,
        side: int = 7,
        stride: int = 64,
        num_boxes: int = 3,
        local_channels: int = 256,
        dropout: float = 0.5,
        loss_coord_weight: float = 5.0,
        loss_noobj_weight: float = 0.5,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: ConfigType | list[ConfigType] = dict(type='Normal', layer='Linear', std=0.01),
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, value in (
            ('num_classes', num_classes),
            ('side', side),
            ('stride', stride),
            ('num_boxes', num_boxes),
        ):
            check_argument(value >= 1, f'YOLOv1Head.{name}', '1 or more', value)
        check_argument(0 <= dropout < 1, 'YOLOv1Head.dropout', 'a number in [0, 1)', dropout)
        self.num_classes = num_classes
        self.side = side
        self.stride = stride
        self.num_boxes = num_boxes
        self.loss_coord_weight = loss_coord_weight
        self.loss_noobj_weight = loss_noobj_weight
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        self.local = LocalConv2d(in_channels, local_channels, side)
        self.act = nn.LeakyReLU(0.1)
        self.dropout = nn.Dropout(dropout)
        cells = side * side
        self.connected = nn.Linear(local_channels * cells, cells * (num_classes + 5 * num_boxes))

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor]:
        """Compute the predictions.

        Args:
            x: The neck's one map (N, C_in, S, S).

        Returns:
            (N, S * S * (C + 5 B)): the classes of all cells, then all confidences, then all boxes,
            as in Darknet.

        Raises:
            ConfigError: The map has another size.
        """
        size = (self.side, self.side)
        pixels = self.side * self.stride
        check_argument(
            tuple(x[0].shape[-2:]) == size,
            "size of YOLOv1Head's map",
            f'{size}',
            tuple(x[0].shape[-2:]),
            f'its connected layer fits images of {pixels} x {pixels} px only: resize them to that',
        )
        local = self.dropout(self.act(self.local(x[0])))
        return (self.connected(local.flatten(1)),)

    def decode(self, pred: Tensor) -> GridPredictions:
        """Turn predictions, as :meth:`forward` gives them, into boxes."""
        with no_autocast(pred):
            pred = at_least_float32(pred)
            cells, boxes = self.side**2, self.num_boxes
            classes, confidence, coords = pred.split(
                [cells * self.num_classes, cells * boxes, cells * boxes * 4], dim=1
            )
            coords = coords.reshape(len(pred), cells, boxes, 4)
            index = torch.arange(cells, device=pred.device)
            cell = torch.stack([index % self.side, index // self.side], dim=-1)
            centre = (cell[:, None] + coords[..., :2]) * self.stride
            size = coords[..., 2:].square() * (self.side * self.stride)
            bboxes = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
        return GridPredictions(
            classes.reshape(len(pred), cells, self.num_classes),
            confidence.reshape(len(pred), cells, boxes),
            coords,
            bboxes,
        )

    def match(self, truths: Truths, num_images: int) -> Tensor:
        """Find the true box of each cell.

        Args:
            truths: The M true boxes of the batch.
            num_images: N.

        Returns:
            (N * S * S,), index of the true box, the first where there are several; M for none.
        """
        # a centre on the right or lower edge of the image belongs to the last cell
        cell = (truths.centre() / self.stride).floor().long().clamp(0, self.side - 1)
        place = (truths.image * self.side + cell[:, 1]) * self.side + cell[:, 0]
        none = torch.full((num_images * self.side**2,), len(place), device=place.device)
        order = torch.arange(len(place), device=place.device)
        return none.scatter_reduce(0, place, order, 'amin')

    def _targets(self, truths: Truths, gt: Tensor, cell: Tensor) -> Tensor:
        """Targets (K, 4) of ``coords`` for pairs of a true box and a cell of an image."""
        cell = cell % self.side**2
        corner = torch.stack([cell % self.side, cell // self.side], dim=-1)
        share = truths.size()[gt] / (self.side * self.stride)
        return torch.cat([truths.centre()[gt] / self.stride - corner, share.sqrt()], dim=1)

    @torch.no_grad()
    def _responsible(self, bboxes: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Of each cell the box that answers for the true one, and its IoU, (K,) both.

        Args:
            bboxes: (K, B, 4), pixels.
            truth: (K, 4), pixels.
        """
        repeated = truth[:, None].expand_as(bboxes)
        iou = aligned_iou(bboxes.reshape(-1, 4), repeated.reshape(-1, 4)).view(bboxes.shape[:2])
        boxes = [
            torch.cat([(b[..., :2] + b[..., 2:]) / 2, b[..., 2:] - b[..., :2]], dim=-1)
            for b in (bboxes, repeated)
        ]
        distance = (boxes[0] - boxes[1]).square().sum(dim=-1)
        overlaps = iou.amax(dim=1) > 0
        best = torch.where(overlaps, iou.argmax(dim=1), distance.argmin(dim=1))
        return best, iou.gather(1, best[:, None])[:, 0]

    def _spared(self, ignored: OptInstanceList, like: Tensor) -> Tensor:
        """Whether a cell holds the centre of a box to be ignored, (N * S * S,)."""
        boxes = [like.new_zeros(0, 4) if x is None else x.bboxes for x in ignored or []]
        if not boxes:
            return torch.zeros(len(like) * self.side**2, dtype=torch.bool, device=like.device)
        labels = [torch.zeros(len(box), dtype=torch.long) for box in boxes]
        instances = [
            InstanceData(bboxes=box, labels=label) for box, label in zip(boxes, labels, strict=True)
        ]
        spared = Truths.of(instances, like)
        return self.match(spared, len(like)) < len(spared.bboxes)

    def loss_by_feat(
        self,
        pred: Tensor,
        batch_gt_instances: InstanceList,
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: OptInstanceList = None,
    ) -> dict[str, Tensor]:
        """Compute eq. 3 for a batch.

        Args:
            pred: As :meth:`forward` gives it.
            batch_gt_instances: Per image ``bboxes`` (n, 4) in pixels of the batch tensor and
                ``labels`` (n,).
            batch_img_metas: Not used.
            batch_gt_instances_ignore: Per image boxes: cells that hold the centre of one, and of no
                true box, have no confidence to unlearn.

        Returns:
            ``loss_cls``, ``loss_obj`` and ``loss_bbox``, scalars of at least float32.
        """
        with no_autocast(pred):
            found = self.decode(pred)
            num_images = len(pred)
            truths = Truths.of(batch_gt_instances, found.bboxes)
            match = self.match(truths, num_images)
            positive = match < len(truths.bboxes)
            gt, cell = match[positive], positive.nonzero()[:, 0]

            best, iou = self._responsible(found.bboxes.flatten(0, 1)[cell], truths.bboxes[gt])
            coords = found.coords.flatten(0, 1)[cell, best]
            loss_bbox = (coords - self._targets(truths, gt, cell)).square().sum()

            classes = found.classes.flatten(0, 1)[cell]
            goal = torch.zeros_like(classes)
            goal[torch.arange(len(gt), device=gt.device), truths.labels[gt]] = 1
            loss_cls = (classes - goal).square().sum()

            confidence = found.confidence.flatten(0, 1)
            loss_obj = (confidence[cell, best] - iou).square().sum()
            counts = positive | ~self._spared(batch_gt_instances_ignore, found.bboxes)
            negative = counts[:, None].repeat(1, self.num_boxes)
            negative[cell, best] = False
            loss_noobj = self.loss_noobj_weight * confidence[negative].square().sum()
        return dict(
            loss_cls=loss_cls / num_images,
            loss_obj=(loss_obj + loss_noobj) / num_images,
            loss_bbox=self.loss_coord_weight * loss_bbox / num_images,
        )

    def predict_by_feat(
        self,
        pred: Tensor,
        batch_img_metas: list[dict],
        cfg: OptConfigType = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceList:
        """Turn predictions into detections, with scores confidence x class.

        Both are held within [0, 1], which plain numbers need not be. See
        :meth:`GridHead.detections` for arguments and result.
        """
        found = self.decode(pred)
        classes, confidence = found.classes.clamp(0, 1), found.confidence.clamp(0, 1)
        scores = confidence[..., None] * classes[:, :, None]
        cfg = self.test_cfg if cfg is None else cfg
        return self.detections(
            found.bboxes.flatten(1, 2),
            scores.flatten(1, 2),
            batch_img_metas,
            cfg,
            rescale,
            with_nms,
        )
