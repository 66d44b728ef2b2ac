"""Average precision per class, and which detections found their cell."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .predictions import Detections

__all__ = ['AveragePrecision', 'average_precision']


@dataclass(frozen=True)
class AveragePrecision:
    """Average precision of one detector on one annotated set.

    Attributes:
        classes: Class names, in the order of the annotation file's categories.
        ap: Average precision per class in [0, 1], shape ``(C,)``; NaN where a class has no truth.
        num_truths: Annotated boxes per class (crowds left out), shape ``(C,)``.
        iou_thr: Overlap from which a detection counts as found.
        matched: By image id, whether each detection met a truth of its class, shape ``(n,)``, in
            the order of that image's detections.
        found: By annotation id, the score of the detection that found this truth; a truth that
            no detection found is absent.
    """

    classes: tuple[str, ...]
    ap: np.ndarray
    num_truths: np.ndarray
    iou_thr: float
    matched: Mapping[int, np.ndarray]
    found: Mapping[int, float]

    @property
    def mean(self) -> float:
        """Mean over the classes that have a truth; NaN if none has."""
        known = self.ap[~np.isnan(self.ap)]
        return float(known.mean()) if known.size else float('nan')


def average_precision(
    truth: COCO,
    predictions: Mapping[int, Detections],
    iou_thr: float = 0.5,
    max_dets: int = 100,
) -> AveragePrecision:
    """Compute COCO's average precision at one overlap (pycocotools, 101 recall points).

    Args:
        truth: The annotated set.
        predictions: The detections of every image of the set, by image id. A label ``i`` means
            the ``i``-th category of ``truth``.
        iou_thr: Overlap, in (0, 1], from which a detection counts as found.
        max_dets: Detections per image and class that count, the best scores first.

    Returns:
        The average precision per class, and the match of each detection.

    Raises:
        ValueError: Predictions and annotations do not belong together.
    """
    cat_ids = [category['id'] for category in truth.dataset['categories']]
    classes = tuple(category['name'] for category in truth.dataset['categories'])
    _check(truth, predictions, len(classes))

    image_ids = sorted(truth.imgs)
    counts = [len(predictions[i]) for i in image_ids]
    bboxes = np.concatenate([predictions[i].bboxes for i in image_ids]).copy()
    bboxes[:, 2:] -= bboxes[:, :2]
    scores = np.concatenate([predictions[i].scores for i in image_ids])
    labels = np.concatenate([predictions[i].labels for i in image_ids])
    owners = np.repeat(image_ids, counts)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        detected = COCO()
        detected.dataset = {
            'images': truth.dataset['images'],
            'categories': truth.dataset['categories'],
            'annotations': [
                {
                    'id': index + 1,
                    'image_id': int(owner),
                    'category_id': cat_ids[label],
                    'bbox': bbox.tolist(),
                    'area': float(bbox[2] * bbox[3]),
                    'score': float(score),
                    'iscrowd': 0,
                }
                for index, (owner, label, bbox, score) in enumerate(
                    zip(owners, labels, bboxes, scores, strict=True)
                )
            ],
        }
        detected.createIndex()
        coco_eval = COCOeval(truth, detected, 'bbox')
        coco_eval.params.imgIds = image_ids
        coco_eval.params.catIds = cat_ids  # keeps the file's order
        coco_eval.params.iouThrs = np.array([iou_thr])
        coco_eval.params.maxDets = [max_dets]
        coco_eval.params.areaRng = [[0, 1e10]]
        coco_eval.params.areaRngLbl = ['all']
        _evaluate_in_order(coco_eval)

    # precision: (overlaps, recall points, classes, areas, max_dets); -1 where there is no truth
    precision = coco_eval.eval['precision'][0, :, :, 0, 0]
    known = (precision > -1).all(axis=0)
    ap = np.where(known, precision.mean(axis=0), np.nan)

    hit = np.zeros(len(scores), dtype=bool)
    found: dict[int, float] = {}
    for entry in filter(None, coco_eval.evalImgs):
        met = np.asarray(entry['dtMatches'][0]) > 0
        hit[np.asarray(entry['dtIds'], dtype=int)[met] - 1] = True
        for truth_id, match in zip(entry['gtIds'], entry['gtMatches'][0], strict=True):
            if match > 0:
                found[truth_id] = float(scores[int(match) - 1])
    parts = np.split(hit, np.cumsum(counts)[:-1]) if counts else []
    num_truths = [
        sum(not truth.anns[a].get('iscrowd', 0) for a in truth.getAnnIds(catIds=[cat_id]))
        for cat_id in cat_ids
    ]
    return AveragePrecision(
        classes, ap, np.array(num_truths), iou_thr, dict(zip(image_ids, parts, strict=True)), found
    )


def _evaluate_in_order(coco_eval: COCOeval) -> None:
    """Run the evaluation, keeping the categories in the order they were given in."""
    order = list(coco_eval.params.catIds)
    coco_eval.evaluate()  # sorts the ids
    coco_eval.accumulate()
    columns = [list(coco_eval.params.catIds).index(cat_id) for cat_id in order]
    coco_eval.eval['precision'] = coco_eval.eval['precision'][:, :, columns]


def _check(truth: COCO, predictions: Mapping[int, Detections], num_classes: int) -> None:
    """Raise where predictions and annotations cannot belong together."""
    if not truth.imgs:
        raise ValueError('the annotation file has no images; nothing can be evaluated on it')
    missing = sorted(set(truth.imgs) - set(predictions))
    unknown = sorted(set(predictions) - set(truth.imgs))
    if missing or unknown:
        raise ValueError(
            f'predictions and annotations are of different sets: {len(missing)} of '
            f'{len(truth.imgs)} images have no prediction (first ids {missing[:3]}), '
            f'{len(unknown)} predictions have no image (first ids {unknown[:3]}); '
            'test again on the annotation file that is evaluated'
        )
    highest = max((int(p.labels.max()) for p in predictions.values() if len(p)), default=-1)
    if highest >= num_classes:
        raise ValueError(
            f'a prediction has class index {highest}, the annotation file has {num_classes} '
            'categories (expected 0 to one less); test with the config of these classes'
        )
