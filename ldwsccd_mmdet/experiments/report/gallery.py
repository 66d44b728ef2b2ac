"""Pictures of a report: whole fields with the truth beside each model, and errors by kind."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from ...datasets.files import find_images
from ...datasets.palette import class_palette, contrast_color, hex_color
from ...errors import DatasetError, ImageFileError
from ...evaluation.functional import KINDS, DetectionMetrics
from ...image_files import read_image
from ...visualization.draw_detections import label_texts
from ...visualization.label_layout import place_labels, text_sizes
from .tables import ModelResult

__all__ = ['choose_fields', 'data_uri', 'error_gallery', 'field_gallery']

_MAX_SIDE = 640  # longest side of an embedded field, px: keeps the page small
_CROP_SIDE = 176  # side of an embedded crop, px
_JPEG_QUALITY = 85
_MAX_DRAWN = 60  # detections drawn in one panel: an untrained model has hundreds
_LEAST_SCORE = 0.05  # the slider's least, below it nothing is drawn


def choose_fields(truth: COCO, number: int) -> list[int]:
    """Choose images that together show every class, by their annotations alone.

    Each image in turn is the one that adds most classes not seen yet, weighted by their rarity;
    once every class is shown, the next image starts the count again.

    Args:
        truth: The annotated images.
        number: How many; fewer if there are not so many.

    Returns:
        The image ids, in the order chosen.
    """
    image_ids = sorted(truth.imgs)
    cat_ids = sorted(truth.cats)
    present = np.zeros((len(image_ids), len(cat_ids)), dtype=bool)
    for annotation in truth.anns.values():
        row = np.searchsorted(image_ids, annotation['image_id'])
        present[row, np.searchsorted(cat_ids, annotation['category_id'])] = True
    worth = 1 / np.maximum(present.sum(0), 1)
    unseen = np.ones(len(cat_ids), dtype=bool)
    left = np.ones(len(image_ids), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < min(number, len(image_ids)):
        if not (present[left] & unseen).any():
            unseen[:] = True
        gain = np.where(left, (present & unseen) @ worth, -1.0)
        best = int(gain.argmax())
        left[best] = False
        unseen &= ~present[best]
        chosen.append(image_ids[best])
    return chosen


def field_gallery(
    truth: COCO, image_dir: Path, models: Sequence[ModelResult], number: int
) -> list[dict[str, Any]]:
    """Lay out whole images: the truth beside the first run of each model, at its operating point.

    Args:
        truth: The annotated images.
        image_dir: Folder of the images.
        models: The models.
        number: How many images.

    Returns:
        What the template draws, one entry an image.

    Raises:
        DatasetError: An image is missing or unreadable.
    """
    return [_field(truth, image_dir, models, i) for i in choose_fields(truth, number)]


def _open(truth: COCO, image_dir: Path, image_id: int) -> Image.Image:
    """Read one image."""
    name = truth.imgs[image_id]['file_name']
    found = find_images(image_dir, [name])
    path = found.paths.get(name, image_dir / name)
    try:
        # turned as its EXIF tag says: the frame that boxes and detections are in
        return Image.fromarray(np.ascontiguousarray(read_image(path)[..., ::-1]))
    except ImageFileError as error:
        raise DatasetError(
            f"image '{path}' of the annotation file cannot be read ({error}): restore it, or name "
            'the folder of the images'
        ) from error


def _field(
    truth: COCO, image_dir: Path, models: Sequence[ModelResult], image_id: int
) -> dict[str, Any]:
    """Lay out one image."""
    image = _open(truth, image_dir, image_id)
    size = image.size
    first = models[0].runs[0].metrics.matches
    place = int(np.searchsorted(first.image_ids, image_id))
    mine = np.flatnonzero(first.truth_image == place)
    labels, bboxes = first.truth_label[mine], first.truth_bbox[mine]
    shown = np.ones(len(mine), bool)
    panels = [
        {
            'title': 'Truth',
            'note': f'{len(labels)} annotated',
            'boxes': _boxes(bboxes, labels, None, shown, first.classes, size),
            'missed': [],
        }
    ]
    panels += [_panel(model, place, size) for model in models]
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    return {
        'id': image_id,
        'file_name': truth.imgs[image_id]['file_name'],
        'width': size[0],
        'height': size[1],
        'uri': _jpeg(image),
        'font_size': _font_size(size),
        'panels': panels,
    }


def _panel(model: ModelResult, place: int, size: tuple[int, int]) -> dict[str, Any]:
    """Lay out one model's detections on an image, those below its operating point too.

    The latter are ``low``: hidden until the reader moves the slider of the page.
    """
    metrics = model.runs[0].metrics
    matches, errors = metrics.matches, metrics.errors
    kind = errors.kind[matches.det_image[errors.det] == place]
    missed = errors.missed[matches.truth_image[errors.missed] == place]
    counts = [(int((kind == i).sum()), name) for i, name in enumerate(KINDS[:-1])]
    counts.append((len(missed), KINDS[-1]))
    # best score first; a match does not depend on the detections of lower scores
    here = (matches.det_image == place) & ~matches.det_ignored
    here &= (matches.det_score >= _LEAST_SCORE) | (matches.det_score >= errors.score_thr)
    det = np.flatnonzero(here)[:_MAX_DRAWN]
    boxes = _boxes(
        matches.det_bbox[det],
        matches.det_label[det],
        matches.det_score[det],
        matches.hit[det],
        matches.classes,
        size,
    )
    for box, score in zip(boxes, matches.det_score[det].tolist(), strict=True):
        box.update(score=score, low=not score >= errors.score_thr)
    truths = np.flatnonzero((matches.truth_image == place) & ~matches.truth_ignored)
    found = _found_at(metrics)[truths]
    return {
        'title': model.name,
        'note': ', '.join(f'{count} {name}' for count, name in counts if count)
        + (f'; the best {_MAX_DRAWN} drawn' if len(kind) > _MAX_DRAWN else ''),
        'boxes': boxes,
        'missed': [
            {
                'rect': _rectangle(matches.truth_bbox[truth]),
                'found': score,
                'low': truth not in missed,
            }
            for truth, score in zip(truths.tolist(), found.tolist(), strict=True)
        ],
    }


def _found_at(metrics: DetectionMetrics) -> np.ndarray:
    """Return the score of the detection that met each truth, right or of a wrong class, else -1."""
    matches, errors = metrics.matches, metrics.errors
    found = np.full(len(matches.truth_bbox), -1.0)
    right = np.flatnonzero(matches.hit)
    wrong = errors.kind == KINDS.index('wrong class')
    met = np.concatenate([matches.det_truth[right], errors.truth[wrong]])
    scores = matches.det_score[np.concatenate([right, errors.det[wrong]])]
    np.maximum.at(found, met, scores)
    return found


def error_gallery(
    truth: COCO, image_dir: Path, metrics: DetectionMetrics, number: int
) -> list[dict[str, Any]]:
    """Cut out examples of each kind of error.

    The most confident detections of each kind; of the missed truths, each class in turn.

    Args:
        truth: The annotated images.
        image_dir: Folder of the images.
        metrics: What was measured of one run.
        number: Examples a kind.

    Returns:
        One entry a kind, with ``kind``, ``count`` and ``crops``.

    Raises:
        DatasetError: An image is missing or unreadable.
    """
    matches, errors = metrics.matches, metrics.errors
    chosen: list[tuple[str, int, int]] = []  # kind, detection or -1, truth or -1
    for place, kind in enumerate(KINDS[1:-1], start=1):
        for i in np.flatnonzero(errors.kind == place)[:number]:
            chosen.append((kind, int(errors.det[i]), int(errors.truth[i])))
    labels = matches.truth_label[errors.missed]
    turn = np.array([np.count_nonzero(labels[:i] == label) for i, label in enumerate(labels)], int)
    for i in np.argsort(turn, kind='stable')[:number]:
        chosen.append((KINDS[-1], -1, int(errors.missed[i])))

    crops: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS[1:]}
    opened: dict[int, Image.Image] = {}
    for kind, det, gt in chosen:
        place = int(matches.det_image[det] if det >= 0 else matches.truth_image[gt])
        if place not in opened:
            opened[place] = _open(truth, image_dir, int(matches.image_ids[place]))
        file_name = truth.imgs[int(matches.image_ids[place])]['file_name']
        crops[kind].append(_crop(opened[place], metrics, det, gt, file_name))
    return [
        {'kind': kind, 'count': errors.count(kind), 'crops': crops[kind]}
        for kind in (KINDS[-1], *KINDS[1:-1])
    ]


def _crop(
    image: Image.Image, metrics: DetectionMetrics, det: int, gt: int, file_name: str
) -> dict[str, Any]:
    """Cut out a detection and its truth, with room around."""
    matches = metrics.matches
    boxes = []
    if gt >= 0:
        boxes.append(matches.truth_bbox[gt])
    if det >= 0:
        boxes.append(matches.det_bbox[det])
    union = np.concatenate([np.min(boxes, axis=0)[:2], np.max(boxes, axis=0)[2:]])
    center = (union[:2] + union[2:]) / 2
    side = float(min(max(1.8 * (union[2:] - union[:2]).max(), 64), *image.size))
    corner = np.clip(center - side / 2, 0, np.array(image.size) - side)
    part = image.crop(tuple(np.round([*corner, *(corner + side)]).astype(int)))
    part = part.resize((_CROP_SIDE, _CROP_SIDE), Image.Resampling.BICUBIC)

    def drawn(bbox: np.ndarray, label: int, solid: bool) -> dict[str, Any]:
        color = class_palette(len(matches.classes))[label]
        scaled = (bbox - [*corner, *corner]) * (_CROP_SIDE / side)
        return {
            'rect': _rectangle(scaled),
            'color': hex_color(color),
            'contrast': hex_color(contrast_color(color)),
            'solid': solid,
        }

    rects, words = [], []
    if gt >= 0:
        label = int(matches.truth_label[gt])
        rects.append(drawn(matches.truth_bbox[gt], label, True))
        words.append(f'truth: {matches.classes[label]}')
    if det >= 0:
        label = int(matches.det_label[det])
        rects.append(drawn(matches.det_bbox[det], label, False))
        words.append(f'detected: {matches.classes[label]} {matches.det_score[det]:.2f}')
    if det >= 0 and gt >= 0:
        words.append(f'IoU {_iou(matches.det_bbox[det], matches.truth_bbox[gt]):.2f}')
    return {
        'uri': _jpeg(part),
        'side': _CROP_SIDE,
        'rects': rects,
        'words': words,
        'file_name': file_name,
    }


def _iou(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two boxes ``x1, y1, x2, y2``."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    both = float(sides.clip(min=0).prod())
    areas = (first[2:] - first[:2]).prod() + (second[2:] - second[:2]).prod()
    return both / float(areas - both)


def _font_size(size: tuple[int, int]) -> float:
    """Font size of the names, in pixels of an image of this size."""
    return max(size) / 45


def _rectangle(bbox: np.ndarray) -> dict[str, float]:
    """Turn ``x1, y1, x2, y2`` into the attributes of an SVG rectangle."""
    x1, y1, x2, y2 = (round(float(value), 2) for value in bbox)
    return {'x': x1, 'y': y1, 'width': round(x2 - x1, 2), 'height': round(y2 - y1, 2)}


def _boxes(
    bboxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None,
    correct: np.ndarray,
    classes: Sequence[str],
    size: tuple[int, int],
) -> list[dict[str, Any]]:
    """Lay out boxes and their names; the first box chooses its label's place first."""
    font_size = _font_size(size)
    bboxes = np.clip(bboxes, 0, [*size, *size])
    texts = label_texts(labels, classes, scores)
    sizes = text_sizes(texts, font_size)
    corners = place_labels(bboxes, sizes, size)
    colors = class_palette(len(classes))[labels]
    return [
        {
            'rect': _rectangle(bbox),
            'label': _rectangle(np.concatenate([corner, corner + label])),
            'text': text,
            'text_x': round(float(corner[0] + label[0] / 2), 2),
            'text_y': round(float(corner[1] + 0.92 * font_size), 2),
            'text_width': round(float(label[0] - 0.5 * font_size), 2),
            'color': hex_color(color),
            'contrast': hex_color(contrast_color(color)),
            'correct': bool(right),
            'score': None,
            'low': False,
        }
        for bbox, corner, label, text, color, right in zip(
            bboxes, corners, sizes, texts, colors, correct, strict=True
        )
    ]


def _jpeg(image: Image.Image) -> str:
    """Embed an image."""
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=_JPEG_QUALITY)
    return data_uri(buffer.getvalue(), 'image/jpeg')


def data_uri(data: bytes, media_type: str) -> str:
    """Embed a file."""
    return f'data:{media_type};base64,{base64.b64encode(data).decode()}'
