"""Boxes with class names and scores, drawn on an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ..datasets.palette import class_palette, contrast_color
from .label_layout import fitting_labels, label_font, place_labels, text_sizes

__all__ = ['draw_detections', 'label_texts']


def label_texts(
    labels: np.ndarray, classes: Sequence[str], scores: np.ndarray | None = None
) -> list[str]:
    """Write the label of each box: its class name and, if there is one, its score.

    Args:
        labels: Class indices, shape ``(n,)``.
        classes: Class names.
        scores: Scores in [0, 1], shape ``(n,)``, or None.

    Returns:
        One text per box, such as ``hsil 0.87``.
    """
    names = [classes[label] for label in labels]
    if scores is None:
        return names
    return [f'{name} {score:.2f}' for name, score in zip(names, scores, strict=True)]


def draw_detections(
    image: np.ndarray,
    bboxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None = None,
    classes: Sequence[str] = (),
    palette: np.ndarray | None = None,
    scale: int | None = None,
    font_size: int = 13,
    names: str = 'all',
) -> np.ndarray:
    """Draw boxes with their class names and scores.

    A small image is enlarged first, so that the names can be read.

    Args:
        image: RGB, shape ``(H, W, 3)``, ``uint8``.
        bboxes: Boxes ``x1, y1, x2, y2``, shape ``(n, 4)``, in pixels of ``image``.
        labels: Class indices, shape ``(n,)``.
        scores: Scores in [0, 1], shape ``(n,)``; None for annotated boxes. With scores, the best
            box is labelled first.
        classes: Class names; every label must have one.
        palette: RGB colour per class, shape ``(C, 3)``; by default :func:`class_palette`.
        scale: Whole factor by which the image is enlarged; by default the least that makes its
            short side 600 px, at most 3.
        font_size: Font size in pixels of the result.
        names: Which boxes are named: 'all', 'fitting' (those whose name hides no better one's), or
            'none'.

    Returns:
        The picture, RGB, shape ``(scale * H, scale * W, 3)``, ``uint8``.

    Raises:
        ValueError: The image is not RGB of ``uint8``, or the boxes, labels and scores are not as
            many, or a label has no class name.
    """
    bboxes = np.asarray(bboxes, float).reshape(-1, 4)
    labels = np.asarray(labels, int).reshape(-1)
    _check(image, bboxes, labels, scores, classes)
    if scale is None:
        scale = int(np.clip(math.ceil(600 / min(image.shape[:2])), 1, 3))
    if palette is None:
        palette = class_palette(len(classes))
    height, width = scale * image.shape[0], scale * image.shape[1]
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)

    if scores is not None:
        order = np.argsort(-np.asarray(scores), kind='stable')
        bboxes, labels, scores = bboxes[order], labels[order], np.asarray(scores)[order]
    bboxes = np.clip(bboxes * scale, 0, [width - 1, height - 1] * 2)
    colors = np.asarray(palette)[labels]
    contrasts = contrast_color(colors)
    texts = label_texts(labels, classes, scores)
    sizes = text_sizes(texts, font_size)
    # where no name is wanted none is placed: slides have tens of thousands of cells
    corners = np.zeros((0, 2))
    if names != 'none':
        corners = place_labels(bboxes, sizes, (width, height))

    # all boxes before all names: a name is never crossed out by a later box
    for bbox, color, contrast in zip(bboxes, colors, contrasts, strict=True):
        pen.rectangle(tuple(bbox), outline=tuple(map(int, contrast)), width=4)
        pen.rectangle(tuple(bbox), outline=tuple(map(int, color)), width=2)
    labelled = list(zip(texts, corners, sizes, colors, contrasts, strict=False))
    # the best name last: where there is no room, it lies on top
    for index in _shown(names, corners, sizes)[::-1]:
        _write_name(pen, *labelled[index], font_size)
    return np.asarray(picture)


def _write_name(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: np.ndarray,
    size: np.ndarray,
    color: np.ndarray,
    contrast: np.ndarray,
    font_size: int,
) -> None:
    """Write a name on a ground of its colour."""
    pen.rectangle((*corner, *(corner + size)), fill=tuple(map(int, color)))
    pen.text(
        tuple(corner + size / 2),
        text,
        fill=tuple(map(int, contrast)),
        font=label_font(font_size),
        anchor='mm',
    )


def _shown(names: str, corners: np.ndarray, sizes: np.ndarray) -> list[int]:
    """Choose the boxes that are named, best first; see ``draw_detections``."""
    if names not in ('all', 'fitting', 'none'):
        raise ValueError(f"names must be 'all', 'fitting' or 'none', found {names!r}")
    if names == 'fitting':
        return fitting_labels(corners, sizes)
    return list(range(len(corners))) if names == 'all' else []


def _check(
    image: np.ndarray,
    bboxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray | None,
    classes: Sequence[str],
) -> None:
    """Raise where the arguments do not fit together."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(
            f'image must be RGB of shape (H, W, 3) and uint8, found {image.shape} {image.dtype}'
        )
    counts = {len(bboxes), len(labels), len(bboxes) if scores is None else len(scores)}
    if len(counts) > 1:
        raise ValueError(
            'bboxes, labels and scores must be as many, found '
            f'{len(bboxes)}, {len(labels)}, {None if scores is None else len(scores)}'
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < len(classes):
        raise ValueError(
            f'labels must index classes (0 to {len(classes) - 1}), found {labels.min()} to '
            f'{labels.max()}; pass the class names of the annotation file'
        )
