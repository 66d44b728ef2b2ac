"""Anchors that fit the boxes of a set: YOLOv2's dimension clusters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..datasets.coco_json import read_coco
from ..errors import DatasetError, check_argument
from .checks.priors import scale_boxes

__all__ = ['DimensionClusters', 'box_sizes', 'dimension_clusters', 'shape_iou']


class DimensionClusters(NamedTuple):
    """What k-means found.

    Attributes:
        anchors: Widths and heights (k, 2) in pixels of the input, the smallest area first.
        mean_iou: Mean over the boxes of the shape IoU with the nearest anchor, in [0, 1].
        shares: Share of the boxes that each anchor is the nearest of, (k,).
    """

    anchors: np.ndarray
    mean_iou: float
    shares: np.ndarray


def shape_iou(sizes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of boxes laid on one centre: widths and heights (n, 2) and (k, 2) to (n, k)."""
    inter = np.minimum(sizes[:, None], others).prod(axis=-1)
    return inter / (sizes.prod(axis=-1)[:, None] + others.prod(axis=-1) - inter)


def box_sizes(
    path: str, input_size: tuple[int, int] | None = None, keep_ratio: bool = False
) -> np.ndarray:
    """Read the widths and heights of a COCO file's boxes, crowds left out.

    Args:
        path: The annotation file.
        input_size: Width and height of the network's input; None: pixels of the images.
        keep_ratio: Whether ``Resize`` keeps the ratio.

    Returns:
        (n, 2), pixels of the input.

    Raises:
        DatasetError: The file cannot be read or has no boxes.
    """
    content = read_coco(path, need_sizes=input_size is not None).content
    images = {image['id']: image for image in content['images']}
    kept = [a for a in content['annotations'] if not a['iscrowd']]
    if not kept:
        raise DatasetError(f"'{path}' has no boxes: expected some to find anchors for")
    boxes = np.array([a['bbox'] for a in kept], float)
    if input_size is not None:
        of = [images[a['image_id']] for a in kept]
        sizes = np.array([(image['width'], image['height']) for image in of], float)
        boxes = scale_boxes(boxes, sizes, input_size, keep_ratio)
    return boxes[:, 2:]


def dimension_clusters(
    sizes: np.ndarray, num_anchors: int, seed: int = 0, num_starts: int = 10
) -> DimensionClusters:
    r"""Cluster box sizes by k-means (Redmon and Farhadi, 2017, section 2, "Dimension Clusters").

    The distance is :math:`d(box, centroid) = 1 - IoU(box, centroid)`, both laid on one centre, so
    that large boxes do not weigh more than small ones. A centroid is the mean width and height of
    its boxes. The mean does not minimise this distance, so that the mean IoU may fall from one step
    to the next: the best step of all counts. The starts are boxes drawn as in k-means++.

    Args:
        sizes: Widths and heights (n, 2), positive.
        num_anchors: k.
        seed: Of the starts.
        num_starts: How often to start anew; the best of all counts.

    Returns:
        The clusters.

    Raises:
        ConfigError: There are fewer different sizes than anchors.
    """
    different = len(np.unique(sizes, axis=0))
    check_argument(
        1 <= num_anchors <= different,
        'num_anchors',
        f'1 to {different}, as there are so many different box sizes',
        num_anchors,
    )
    rng = np.random.default_rng(seed)
    best, best_iou = sizes[:num_anchors], -1.0
    for _ in range(num_starts):
        centroids = _start(sizes, num_anchors, rng)
        nearest: np.ndarray | None = None
        while True:
            iou = shape_iou(sizes, centroids)
            if iou.max(axis=1).mean() > best_iou:
                best, best_iou = centroids, float(iou.max(axis=1).mean())
            before, nearest = nearest, iou.argmax(axis=1)
            if before is not None and (before == nearest).all():
                break
            centroids = _means(sizes, nearest, centroids)
    best = best[np.argsort(best.prod(axis=1))]
    nearest = shape_iou(sizes, best).argmax(axis=1)
    shares = np.bincount(nearest, minlength=num_anchors) / len(sizes)
    return DimensionClusters(best, best_iou, shares)


def _start(sizes: np.ndarray, num: int, rng: np.random.Generator) -> np.ndarray:
    """Draw boxes, each with a probability that grows with its distance from those before."""
    chosen = [int(rng.integers(len(sizes)))]
    for _ in range(num - 1):
        distance = 1 - shape_iou(sizes, sizes[chosen]).max(axis=1)
        chances = distance.clip(min=0) ** 2
        chosen.append(int(rng.choice(len(sizes), p=chances / chances.sum())))
    return sizes[chosen]


def _means(sizes: np.ndarray, nearest: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Mean size of each cluster; one without boxes stays where it is."""
    counts = np.bincount(nearest, minlength=len(before))
    sums = np.stack(
        [np.bincount(nearest, weights=side, minlength=len(before)) for side in sizes.T], axis=1
    )
    return np.where(counts[:, None] > 0, sums / counts.clip(min=1)[:, None], before)
