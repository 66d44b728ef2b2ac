"""Which detection found which annotated cell: pycocotools' matching, kept as arrays."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from mmdet.evaluation.functional.mean_ap import tpfp_default
from mmdet.structures.bbox import bbox_overlaps
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ...datasets.coco_json import missing_classes
from ...errors import ConfigError, ResultsError
from ..predictions import Detections

__all__ = [
    'BACKENDS',
    'Matches',
    'group_places',
    'match_across_classes',
    'match_detections',
    'resolve_backend',
    'voc_outcome',
]

BACKENDS = ('pycocotools', 'faster_coco_eval', 'auto')
_COCO_IOUS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True)
class Matches:
    """The detections and truths of an annotated set, matched class by class at one overlap.

    D detections, best score first (equal scores: by image id, then as the detector gave them); G
    truths; C classes; I images. Boxes are ``x1, y1, x2, y2`` in pixels of the image file.

    Attributes:
        classes: Class names; a label is a place in them.
        image_ids: Ids of the images in ascending order, ``(I,)``.
        iou_thr: Overlap from which a detection counts as found.
        det_image: Image of each detection, as a place in ``image_ids``, ``(D,)``.
        det_index: Place of each detection among its image's, ``(D,)``.
        det_label: Class of each detection, ``(D,)``.
        det_score: Score of each detection, ``(D,)``.
        det_bbox: Box of each detection, ``(D, 4)``.
        det_truth: Truth that each detection met, as a place among the truths, -1 for none,
            ``(D,)``.
        truth_id: Annotation id of each truth, ``(G,)``.
        truth_image: Image of each truth, as a place in ``image_ids``, ``(G,)``.
        truth_label: Class of each truth, ``(G,)``.
        truth_bbox: Box of each truth, ``(G, 4)``.
        truth_area: Area of each truth in px^2, as the file gives it, ``(G,)``.
        truth_ignored: Whether a truth is a crowd, which need not be found, ``(G,)``.
        truth_difficult: Whether VOC leaves a truth out: ``iscrowd``, ``ignore`` or ``difficult``,
            ``(G,)``.
        ious: Overlaps of ``ap_grid``, ascending, ``(T,)``.
        ap_grid: COCO's average precision by overlap, size of box (all, small, medium, large) and
            class, ``(T, 4, C)``; NaN where there is no truth.
        area_ranges: Least and largest area of the three sizes in px^2, ends included, ``(3, 2)``.
    """

    classes: tuple[str, ...]
    image_ids: np.ndarray
    iou_thr: float
    det_image: np.ndarray
    det_index: np.ndarray
    det_label: np.ndarray
    det_score: np.ndarray
    det_bbox: np.ndarray
    det_truth: np.ndarray
    truth_id: np.ndarray
    truth_image: np.ndarray
    truth_label: np.ndarray
    truth_bbox: np.ndarray
    truth_area: np.ndarray
    truth_ignored: np.ndarray
    truth_difficult: np.ndarray
    ious: np.ndarray
    ap_grid: np.ndarray
    area_ranges: np.ndarray

    @cached_property
    def det_ignored(self) -> np.ndarray:
        """Whether a detection met a crowd: it is neither right nor wrong, ``(D,)``."""
        ignored = np.append(self.truth_ignored, False)  # the last stands for truth -1
        return ignored[self.det_truth]

    @cached_property
    def hit(self) -> np.ndarray:
        """Whether a detection is a true positive, ``(D,)``."""
        return (self.det_truth >= 0) & ~self.det_ignored

    @cached_property
    def det_iou(self) -> np.ndarray:
        """Overlap (IoU) of each true positive with its truth, NaN elsewhere, ``(D,)``."""
        iou = np.full(len(self.det_score), np.nan)
        pairs = bbox_overlaps(
            torch.from_numpy(self.det_bbox[self.hit]),
            torch.from_numpy(self.truth_bbox[self.det_truth[self.hit]]),
            is_aligned=True,
        )
        iou[self.hit] = pairs.numpy()
        return iou

    @cached_property
    def num_truths(self) -> np.ndarray:
        """Truths that should be found, by image and class, ``(I, C)``."""
        table = np.zeros((len(self.image_ids), len(self.classes)), int)
        counted = ~self.truth_ignored
        np.add.at(table, (self.truth_image[counted], self.truth_label[counted]), 1)
        return table

    @cached_property
    def size_truths(self) -> np.ndarray:
        """Truths that should be found, by size (small, medium, large) and class, ``(3, C)``."""
        table = np.zeros((len(self.area_ranges), len(self.classes)), int)
        for row, (low, high) in enumerate(self.area_ranges):
            fits = ~self.truth_ignored & (self.truth_area >= low) & (self.truth_area <= high)
            np.add.at(table[row], self.truth_label[fits], 1)
        return table


def match_detections(
    truth: COCO,
    predictions: Mapping[int, Detections],
    classes: Sequence[str] | None = None,
    iou_thr: float = 0.5,
    max_dets: int = 100,
    size_bounds: tuple[float, float] = (32, 96),
    backend: str = 'auto',
) -> Matches:
    """Match the detections of each class with its truths, best score first, as COCO does.

    A truth with ``iscrowd`` may be met by any number of detections, which then count neither as
    right nor as wrong. pycocotools does not read ``difficult``; nor does this. ``ignore`` has
    become ``iscrowd`` when the file was read.

    Args:
        truth: The annotated set.
        predictions: The detections of every image of the set, by image id.
        classes: Names of the classes that labels index; default: the categories in the file's
            order. Truths of other classes are left out; a class may lack in the file.
        iou_thr: Overlap, in (0, 1], from which a detection counts as found.
        max_dets: Detections per image and class that count, the best scores first.
        size_bounds: Sides, in pixels, of the squares that part small boxes from medium ones, and
            medium from large.
        backend: ``'pycocotools'``, ``'faster_coco_eval'`` with the package of that name, which
            gives the same sooner, or ``'auto'``: the second where it is installed.

    Raises:
        ResultsError: Predictions and annotations do not belong together.
        ConfigError: The backend is not known or not installed.
    """
    known = {category['name']: category['id'] for category in truth.dataset['categories']}
    names = tuple(known) if classes is None else tuple(classes)
    _check(truth, predictions, names, tuple(known))
    image_ids = np.array(sorted(truth.imgs))
    rows = [predictions[i] for i in image_ids.tolist()]
    det = _detections(rows, len(names), max_dets)
    gt = _truths(
        truth, {known[name]: i for i, name in enumerate(names) if name in known}, image_ids
    )
    ious = np.unique(np.round([*_COCO_IOUS, iou_thr], 10))
    small, large = (side**2 for side in size_bounds)
    areas = [[0, 1e10], [0, small], [small, large], [large, 1e10]]
    det_truth, ap_grid = _run(
        gt,
        det,
        len(rows),
        len(names),
        ious,
        areas,
        max_dets,
        resolve_backend(backend),
        round(iou_thr, 10),
    )
    return Matches(
        classes=names,
        image_ids=image_ids,
        iou_thr=iou_thr,
        det_image=det['image'],
        det_index=det['index'],
        det_label=det['label'],
        det_score=det['score'],
        det_bbox=det['bbox'],
        det_truth=det_truth,
        truth_id=gt['id'],
        truth_image=gt['image'],
        truth_label=gt['label'],
        truth_bbox=gt['bbox'],
        truth_area=gt['area'],
        truth_ignored=gt['crowd'],
        truth_difficult=gt['difficult'],
        ious=ious,
        ap_grid=ap_grid,
        area_ranges=np.array(areas[1:]),
    )


def _detections(
    rows: Sequence[Detections], num_classes: int, max_dets: int
) -> dict[str, np.ndarray]:
    """The detections of all images, best score first, at most so many an image and class."""
    score = np.concatenate([row.scores for row in rows])
    columns = dict(
        image=np.repeat(np.arange(len(rows)), [len(row) for row in rows]),
        index=np.concatenate([np.arange(len(row)) for row in rows]),
        label=np.concatenate([row.labels for row in rows]),
        score=score,
        bbox=np.concatenate([row.bboxes for row in rows]),
    )
    order = np.argsort(-score, kind='stable')
    group = columns['image'][order] * num_classes + columns['label'][order]
    order = order[_rank_in_group(group) < max_dets]
    return {name: column[order] for name, column in columns.items()}


def _truths(
    truth: COCO, label_of: Mapping[int, int], image_ids: np.ndarray
) -> dict[str, np.ndarray]:
    """The truths of all images, of the classes that have a label."""
    place_of = {int(image_id): i for i, image_id in enumerate(image_ids)}
    anns = [
        ann
        for ann in truth.dataset.get('annotations', [])
        if ann['category_id'] in label_of and ann['image_id'] in place_of
    ]
    bbox = np.array([ann['bbox'] for ann in anns], float).reshape(-1, 4)
    bbox[:, 2:] += bbox[:, :2]
    flags = np.array(
        [[bool(ann.get(key)) for key in ('iscrowd', 'ignore', 'difficult')] for ann in anns], bool
    ).reshape(-1, 3)
    return dict(
        id=np.array([ann['id'] for ann in anns], int),
        image=np.array([place_of[ann['image_id']] for ann in anns], int),
        label=np.array([label_of[ann['category_id']] for ann in anns], int),
        bbox=bbox,
        crowd=flags[:, 0],
        difficult=np.asarray(flags.any(axis=1)),
        area=np.array([a.get('area', a['bbox'][2] * a['bbox'][3]) for a in anns], float),
    )


def match_across_classes(matches: Matches, dets: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Match some detections with some truths whatever their class, by pycocotools.

    Args:
        matches: Where they are from.
        dets: Places of the detections, ``(d,)``.
        truths: Places of the truths, ``(g,)``.

    Returns:
        The place of the truth that each detection met, -1 for none, ``(d,)``.
    """
    if not len(dets) or not len(truths):
        return np.full(len(dets), -1)
    gt = dict(
        image=matches.truth_image[truths],
        label=np.zeros(len(truths), int),
        bbox=matches.truth_bbox[truths],
        crowd=np.zeros(len(truths), bool),
        area=np.ones(len(truths)),
    )
    det = dict(
        image=matches.det_image[dets],
        label=np.zeros(len(dets), int),
        bbox=matches.det_bbox[dets],
        score=matches.det_score[dets],
    )
    met, _ = _run(
        gt,
        det,
        len(matches.image_ids),
        1,
        np.array([matches.iou_thr]),
        [[0, 1e10]],
        len(dets),
        'pycocotools',
        matches.iou_thr,
    )
    return np.where(met >= 0, truths[met], -1)


def voc_outcome(matches: Matches) -> tuple[np.ndarray, np.ndarray]:
    """Tell right from wrong detections as Pascal VOC does, by mmdet's own code.

    VOC compares a detection only with the truth that it overlaps most: a second detection of it is
    wrong, even if another truth is free. Detections of a truth that is ``difficult``, ``ignore``
    or ``iscrowd`` are neither.

    Returns:
        Whether each detection is right, ``(D,)``, and whether it is neither, ``(D,)``.
    """
    hit = np.zeros(len(matches.det_score), bool)
    neither = np.zeros(len(matches.det_score), bool)
    num_classes = len(matches.classes)
    groups = group_places(matches.det_image * num_classes + matches.det_label)
    truths = group_places(matches.truth_image * num_classes + matches.truth_label)
    scored = np.column_stack([matches.det_bbox, matches.det_score])
    for key, dets in groups.items():
        mine = truths.get(key, np.zeros(0, int))
        difficult = matches.truth_difficult[mine]
        right, wrong = tpfp_default(
            scored[dets],
            matches.truth_bbox[mine[~difficult]],
            matches.truth_bbox[mine[difficult]],
            matches.iou_thr,
        )
        hit[dets] = right[0] > 0
        neither[dets] = (right[0] == 0) & (wrong[0] == 0)
    return hit, neither


def group_places(keys: np.ndarray) -> dict[int, np.ndarray]:
    """Return the places of each key, in their order."""
    order = np.argsort(keys, kind='stable')
    values, starts = np.unique(keys[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=bool(len(values))))


def _rank_in_group(keys: np.ndarray) -> np.ndarray:
    """Return the rank of each entry among those of its key, from 0."""
    order = np.argsort(keys, kind='stable')
    _, starts, counts = np.unique(keys[order], return_index=True, return_counts=True)
    rank = np.empty(len(keys), int)
    rank[order] = np.arange(len(keys)) - np.repeat(starts, counts)
    return rank


def _coco(boxes: Mapping[str, np.ndarray], num_images: int, num_classes: int) -> dict[str, Any]:
    """Write boxes in COCO's format; ids are places + 1, since pycocotools takes id 0 for none."""
    xywh = boxes['bbox'].copy()
    xywh[:, 2:] -= xywh[:, :2]
    area = boxes.get('area', xywh[:, 2] * xywh[:, 3])
    crowd = boxes.get('crowd', np.zeros(len(xywh), bool))
    score = boxes.get('score', np.ones(len(xywh)))
    columns = (boxes['image'], boxes['label'], xywh, area, crowd, score)
    keys = ('image_id', 'category_id', 'bbox', 'area', 'iscrowd', 'score')
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        'images': [{'id': i, 'width': 1, 'height': 1} for i in range(num_images)],
        'categories': [{'id': i, 'name': str(i)} for i in range(num_classes)],
        'annotations': [
            {'id': i, **dict(zip(keys, row, strict=True))} for i, row in enumerate(rows, start=1)
        ],
    }


def _run(
    gt: Mapping[str, np.ndarray],
    det: Mapping[str, np.ndarray],
    num_images: int,
    num_classes: int,
    ious: np.ndarray,
    areas: list[list[float]],
    max_dets: int,
    backend: str,
    iou_thr: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Match and score; returns each detection's truth at ``iou_thr`` and the AP of every cell."""
    coco_class, eval_class = _backend(backend)
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports on stdout
        for boxes in (gt, det):
            side = coco_class()
            side.dataset = _coco(boxes, num_images, num_classes)
            side.createIndex()
            sides.append(side)

        def evaluate(iou_thrs: np.ndarray, area_ranges: list[list[float]]) -> Any:
            run = eval_class(*sides, 'bbox')
            run.params.iouThrs = iou_thrs
            run.params.maxDets = [max_dets]
            run.params.areaRng = area_ranges
            run.params.areaRngLbl = [str(i) for i in range(len(area_ranges))]
            run.evaluate()
            run.accumulate()
            return run

        run = evaluate(ious, areas)
        # precision: (overlaps, recall points, classes, areas, 1); -1 where there is no truth
        precision = run.eval['precision'][..., 0]
        met = np.full(len(det['score']), -1)
        if backend == 'pycocotools':
            at = int(np.argmin(np.abs(ious - iou_thr)))
            # entries stand by class, then area, then image; the first area is all
            for number, entry in enumerate(run.evalImgs):
                if entry is not None and number // num_images % len(areas) == 0:
                    met[np.array(entry['dtIds'], int) - 1] = entry['dtMatches'][at] - 1
        else:  # it tells its matches as 'detection_truth', of all overlaps together
            pairs = evaluate(np.array([iou_thr]), areas[:1]).eval['matched']
            for pair in pairs:
                dt, gt_id = map(int, pair.split('_'))
                met[dt - 1] = gt_id - 1
    ap = np.where((precision > -1).all(axis=1), precision.mean(axis=1), np.nan)
    return met, np.moveaxis(ap, 1, 2)


def resolve_backend(name: str) -> str:
    """Say which backend ``'auto'`` is here; any other name stays."""
    if name != 'auto':
        return name
    installed = importlib.util.find_spec('faster_coco_eval') is not None
    return 'faster_coco_eval' if installed else 'pycocotools'


def _backend(name: str) -> tuple[Any, Any]:
    """Find the COCO and COCOeval classes of a backend."""
    if name == 'pycocotools':
        return COCO, COCOeval
    if name != 'faster_coco_eval':
        raise ConfigError(f"backend is '{name}', expected one of {', '.join(BACKENDS)}")
    try:
        import faster_coco_eval
    except ImportError as error:
        raise ConfigError(
            "backend='faster_coco_eval' needs the package faster-coco-eval, which is not "
            "installed: pip install 'ldwsccd_mmdet[faster]', or leave backend out"
        ) from error
    return faster_coco_eval.COCO, faster_coco_eval.COCOeval_faster


def _check(
    truth: COCO,
    predictions: Mapping[int, Detections],
    classes: tuple[str, ...],
    in_file: tuple[str, ...],
) -> None:
    """Raise where predictions and annotations cannot belong together."""
    if not truth.imgs:
        raise ResultsError('the annotation file has no images: nothing can be evaluated on it')
    lost, wrong = missing_classes(classes, in_file, may_lack=True)
    if wrong is not None:
        raise ResultsError(
            f'classes {", ".join(lost)} of the predictions are not in the annotation file, which '
            f'has ({", ".join(in_file)}{wrong and "; " + wrong}): evaluate on the annotations of '
            'these classes'
        )
    missing = sorted(set(truth.imgs) - set(predictions))
    unknown = sorted(set(predictions) - set(truth.imgs))
    if missing or unknown:
        raise ResultsError(
            f'predictions and annotations are of different sets: {len(missing)} of '
            f'{len(truth.imgs)} images have no prediction (first ids {missing[:3]}), '
            f'{len(unknown)} predictions have no image (first ids {unknown[:3]}): '
            'test again on the annotation file that is evaluated'
        )
    labels = np.concatenate([row.labels for row in predictions.values()])
    if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ResultsError(
            f'predictions have class indices {labels.min()} to {labels.max()}, but there are '
            f'{len(classes)} classes ({", ".join(classes)}; expected 0 to {len(classes) - 1}): '
            'evaluate on the annotations of the classes that the detector was trained for'
        )
