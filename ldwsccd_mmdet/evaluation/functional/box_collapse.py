"""Whether pseudo-boxes have collapsed: onto one part of their cells, or onto the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures.bbox import bbox_overlaps

__all__ = ['BoxCollapse', 'watch_collapse']

_REMEDIES = {
    'image': 'MIL found a context that all images of the class share. Limit the size of the '
    'regions (train_cfg.proposal, or NucleusBlobProposer), and look for a class that is in nearly '
    'all images (tools/analysis_tools/audit_bags.py)',
    'part': 'MIL keeps to the most telling part. Add larger regions (contexts of '
    'NucleusBlobProposer), more seeds (MISTSeeds), or box regression (mil_head.reg_stages)',
    'context': 'MIL takes the surroundings with the cell. Add smaller regions, and images in which '
    'the surroundings occur without the class',
}


@dataclass(frozen=True)
class BoxCollapse:
    """The pseudo-boxes of one class.

    Attributes:
        name: The class.
        num_boxes: Its pseudo-boxes.
        area_share: Median share of the image that one covers; NaN without a box.
        inside: Median part of a pseudo-box that lies in its cell; NaN without a truth.
        covered: Median part of its cell that a pseudo-box covers; NaN without a truth.
        iou: Median overlap with its cell; NaN without a truth.
        kind: ``'image'``: boxes cover the image; ``'part'``: they lie in their cells and fill
            little of them; ``'context'``: they hold their cells and much else; None: none of these.
    """

    name: str
    num_boxes: int
    area_share: float
    inside: float
    covered: float
    iou: float
    kind: str | None

    @property
    def warning(self) -> str | None:
        """What is wrong, and what to do; None if nothing is."""
        if self.kind is None:
            return None
        seen = {
            'image': f'cover {self.area_share:.0%} of their image',
            'part': f'lie to {self.inside:.0%} in their cell but fill {self.covered:.0%} of it',
            'context': f'hold {self.covered:.0%} of their cell but lie to {self.inside:.0%} in it',
        }[self.kind]
        return (
            f'{self.name}: the median of its {self.num_boxes} pseudo-boxes has collapsed, they '
            f'{seen}. {_REMEDIES[self.kind]}'
        )


def watch_collapse(
    bboxes: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    img_shapes: Sequence[tuple[int, int]],
    truth_bboxes: Sequence[np.ndarray],
    truth_labels: Sequence[np.ndarray],
    classes: Sequence[str],
    area_thr: float = 0.8,
    inside_thr: float = 0.9,
    iou_thr: float = 0.3,
    min_boxes: int = 5,
) -> list[BoxCollapse]:
    r"""Measure pseudo-boxes against their images, and against the cells where these are known.

    The cell of a pseudo-box P is the truth T of its class that it shares the largest area with; a
    box that shares none has 0 in all three of

    .. math::
        \mathrm{inside} = |P \cap T| / |P|, \quad \mathrm{covered} = |P \cap T| / |T|, \quad
        \mathrm{IoU}

    Args:
        bboxes: Per image pseudo-boxes (n_i, 4), x1, y1, x2, y2 in pixels of the image file.
        labels: Per image their classes (n_i,).
        img_shapes: Per image height and width of the file.
        truth_bboxes: Per image boxes of the cells (m_i, 4); m_i = 0 where they are not known.
        truth_labels: Per image their classes (m_i,).
        classes: Names, one a label.
        area_thr: Median share of the image above which boxes cover the image.
        inside_thr: Median ``inside``, or ``covered``, from which on it is high.
        iou_thr: Median IoU below which it is low.
        min_boxes: Classes of fewer pseudo-boxes are not judged.
    """
    # columns: label, share of the image, inside, covered, IoU (NaN where the image has no truth)
    rows = [np.zeros((0, 5))]
    for boxes, own, shape, cells, cell_labels in zip(
        bboxes, labels, img_shapes, truth_bboxes, truth_labels, strict=True
    ):
        if not len(boxes):
            continue
        p = torch.as_tensor(boxes, dtype=torch.float64)
        size = (p[:, 2:] - p[:, :2]).clamp(min=0).prod(dim=1)
        table = np.full((len(p), 5), np.nan)
        table[:, 0], table[:, 1] = own, size.numpy() / (shape[0] * shape[1])
        same = torch.as_tensor(own)[:, None] == torch.as_tensor(cell_labels)[None]
        known = same.any(dim=1)
        if known.any():
            t = torch.as_tensor(cells, dtype=torch.float64)
            t_size = (t[:, 2:] - t[:, :2]).prod(dim=1)
            iof = bbox_overlaps(p, t, mode='iof') * same  # of the first: the pseudo-box
            inside, cell = iof.max(dim=1)
            iou = bbox_overlaps(p, t).gather(1, cell[:, None])[:, 0] * (inside > 0)
            covered = inside * size / t_size[cell]
            table[known.numpy(), 2:] = torch.stack([inside, covered, iou], dim=1)[known].numpy()
        rows.append(table)
    every = np.concatenate(rows)
    found = []
    for label, name in enumerate(classes):
        mine = every[every[:, 0] == label]
        share, inside, covered, iou = (_median(column) for column in mine[:, 1:].T)
        kind = None
        if len(mine) >= min_boxes:
            if share > area_thr:
                kind = 'image'
            elif iou < iou_thr and inside >= inside_thr:
                kind = 'part'
            elif iou < iou_thr and covered >= inside_thr:
                kind = 'context'
        found.append(BoxCollapse(name, len(mine), share, inside, covered, iou, kind))
    return found


def _median(values: np.ndarray) -> float:
    """Median of what is not NaN; NaN if nothing is left."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float('nan')
