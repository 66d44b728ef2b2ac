"""One self-contained HTML page: detectors side by side on the same annotated images."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from pycocotools.coco import COCO

from ..evaluation import AveragePrecision, Detections
from .draw_detections import label_texts
from .label_layout import place_labels, text_sizes
from .palette import class_palette, contrast_color, hex_color
from .training_curves import plot_training_curves

__all__ = ['ModelResult', 'Report', 'choose_fields', 'truth_boxes', 'write_report']

_MAX_SIDE = 640  # longest side of an embedded image, px: keeps the page small
_JPEG_QUALITY = 88
_MAX_DRAWN = 60  # detections drawn in one panel: an untrained model has hundreds


@dataclass(frozen=True)
class ModelResult:
    """What one trained detector left behind.

    Attributes:
        name: Name shown on the page.
        role: What it is, in a few words, such as ``teacher``.
        precision: Its average precision on the annotated set.
        predictions: Its detections, by image id.
        log: The logged training steps, as of :func:`read_training_log`.
        config: The text of its config.
        seconds: Training time in seconds, if known.
    """

    name: str
    role: str
    precision: AveragePrecision
    predictions: Mapping[int, Detections]
    log: Sequence[Mapping[str, Any]] = ()
    config: str = ''
    seconds: float | None = None


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: Title of the page.
        truth: The annotated images; ``file_name`` is relative to ``image_dir``.
        image_dir: Folder of the images.
        models: The detectors, all tested on ``truth``.
        baseline: Name of the model that gains are counted from, or None.
        intro: Sentences under the title.
        num_fields: Images in the gallery.
        score_thr: Least score, in [0, 1], of a detection shown in the gallery.
        facts: Tables of names and values under a heading each, such as the label faults.
        stages: Stages of the run: name and seconds (None where it was not timed).
        commands: Commands that repeat the run.
    """

    title: str
    truth: COCO
    image_dir: Path
    models: Sequence[ModelResult]
    baseline: str | None = None
    intro: Sequence[str] = ()
    num_fields: int = 6
    score_thr: float = 0.3
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    stages: Sequence[tuple[str, float | None]] = ()
    commands: Sequence[str] = ()


def write_report(report: Report, path: str | Path) -> Path:
    """Write the page: one HTML file that needs no other file and no network.

    Args:
        report: What the page shows.
        path: The file to write; its folder is made.

    Returns:
        The path of the page.

    Raises:
        ValueError: There is no model, or the baseline is none of them.
        FileNotFoundError: An image of the gallery is missing.
    """
    names = [model.name for model in report.models]
    if not names:
        raise ValueError('the report has no model (expected one or more); pass models=[...]')
    if report.baseline is not None and report.baseline not in names:
        raise ValueError(f'baseline must be one of {names}, found {report.baseline!r}')
    environment = Environment(
        loader=PackageLoader('ldwsccd_mmdet.visualization', 'templates'),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['percent'] = _percent
    environment.filters['duration'] = _duration
    curves = plot_training_curves({m.name: m.log for m in report.models if m.log})
    page = environment.get_template('report.html').render(
        report=report,
        summary=_summary(report),
        classes=_class_rows(report),
        fields=[_field(report, i) for i in choose_fields(report.truth, report.num_fields)],
        curves=_data_uri(curves.encode(), 'image/svg+xml') if curves else '',
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # a half-written page is never left under the final name
    draft = path.with_name(path.name + '.part')
    draft.write_text(page, encoding='utf-8')
    draft.replace(path)
    return path


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


def truth_boxes(truth: COCO, image_id: int) -> tuple[list[int], np.ndarray, np.ndarray]:
    """Return one image's annotations as arrays.

    Args:
        truth: The annotated images.
        image_id: The image.

    Returns:
        Annotation ids; boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of the image file;
        class indices, shape ``(n,)``, in the order of the file's categories.
    """
    index = {category['id']: i for i, category in enumerate(truth.dataset['categories'])}
    anns = truth.imgToAnns[image_id] if image_id in truth.imgToAnns else []
    bboxes = np.array([ann['bbox'] for ann in anns], float).reshape(-1, 4)
    bboxes[:, 2:] += bboxes[:, :2]
    labels = np.array([index[ann['category_id']] for ann in anns], int)
    return [ann['id'] for ann in anns], bboxes, labels


def _summary(report: Report) -> list[dict[str, Any]]:
    """Make the rows of the first table."""
    means = {model.name: model.precision.mean for model in report.models}
    base = means[report.baseline] if report.baseline is not None else math.nan
    return [
        {
            'name': model.name,
            'role': model.role,
            'mean': means[model.name],
            'gain': math.nan if model.name == report.baseline else means[model.name] - base,
            'is_baseline': model.name == report.baseline,
            'seconds': model.seconds,
            'bar': 0.0 if math.isnan(means[model.name]) else means[model.name],
        }
        for model in report.models
    ]


def _class_rows(report: Report) -> list[dict[str, Any]]:
    """Make one row per class: its truths and each model's AP; the best AP is marked."""
    first = report.models[0].precision
    rows = []
    for index, name in enumerate(first.classes):
        aps = np.array([model.precision.ap[index] for model in report.models])
        # nothing is best where all are equal, 0 or unknown
        best = np.nanmax(aps) if np.unique(aps[~np.isnan(aps)]).size > 1 else math.nan
        rows.append(
            {
                'name': name,
                'color': hex_color(class_palette(len(first.classes))[index]),
                'num_truths': int(first.num_truths[index]),
                'aps': [
                    {'value': float(ap), 'best': bool(ap == best), 'bar': float(np.nan_to_num(ap))}
                    for ap in aps
                ],
            }
        )
    return rows


def _field(report: Report, image_id: int) -> dict[str, Any]:
    """Lay out one image: the truth beside each model's detections."""
    info = report.truth.imgs[image_id]
    path = Path(report.image_dir) / info['file_name']
    if not path.is_file():
        raise FileNotFoundError(f'image {path} of the annotation file is missing; restore it')
    with Image.open(path) as opened:
        image = opened.convert('RGB')
    size = image.size
    ann_ids, bboxes, labels = truth_boxes(report.truth, image_id)
    classes = report.models[0].precision.classes
    panels = [
        {
            'title': 'Truth',
            'note': f'{len(labels)} annotated',
            'boxes': _boxes(bboxes, labels, None, np.ones(len(labels), bool), classes, size),
            'missed': [],
        }
    ]
    for model in report.models:
        every = model.predictions[image_id]
        kept = every.above(report.score_thr)
        correct = model.precision.matched[image_id][every.scores >= report.score_thr]
        order = np.argsort(-kept.scores, kind='stable')[:_MAX_DRAWN]
        found = np.array(
            [model.precision.found.get(i, -1.0) >= report.score_thr for i in ann_ids], bool
        )
        panels.append(
            {
                'title': model.name,
                'note': f'found {found.sum()} of {len(found)}, {(~correct).sum()} not right'
                + (f'; the best {_MAX_DRAWN} drawn' if len(kept) > _MAX_DRAWN else ''),
                'boxes': _boxes(
                    kept.bboxes[order],
                    kept.labels[order],
                    kept.scores[order],
                    correct[order],
                    classes,
                    size,
                ),
                'missed': [_rectangle(bbox) for bbox in bboxes[~found]],
            }
        )
    image.thumbnail((_MAX_SIDE, _MAX_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', quality=_JPEG_QUALITY)
    return {
        'id': image_id,
        'file_name': info['file_name'],
        'width': size[0],
        'height': size[1],
        'uri': _data_uri(buffer.getvalue(), 'image/jpeg'),
        'font_size': _font_size(size),
        'panels': panels,
    }


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
        }
        for bbox, corner, label, text, color, right in zip(
            bboxes, corners, sizes, texts, colors, correct, strict=True
        )
    ]


def _data_uri(data: bytes, media_type: str) -> str:
    """Embed a file."""
    return f'data:{media_type};base64,{base64.b64encode(data).decode()}'


def _percent(value: float, sign: bool = False) -> str:
    """Write a fraction in percent, a dash where there is none."""
    if math.isnan(value):
        return '\N{EN DASH}'
    value = round(100 * value, 1) + 0.0  # + 0.0 makes -0.0 a plain 0.0
    return f'{value:+.1f}' if sign else f'{value:.1f}'


def _duration(seconds: float | None) -> str:
    """Write seconds as minutes and seconds, a dash where there are none."""
    if seconds is None:
        return '\N{EN DASH}'
    minutes, rest = divmod(round(seconds), 60)
    return f'{minutes} min {rest:02d} s' if minutes else f'{rest} s'
