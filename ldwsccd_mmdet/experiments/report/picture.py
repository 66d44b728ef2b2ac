"""One picture for a README: truth above the detections of one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ...datasets.coco_json import truth_boxes
from ...datasets.palette import class_palette
from ...image_files import read_image
from ...visualization.draw_detections import draw_detections
from ...visualization.label_layout import label_font
from .gallery import choose_fields
from .page import Report
from .tables import ModelResult

__all__ = ['write_picture']

MAX_BYTES = 300_000


def write_picture(report: Report, model: ModelResult, path: Path) -> None:
    """Draw three fields, the truth above the detections of one model, below 300 kB.

    Args:
        report: Where truth and images come from.
        model: Whose detections.
        path: The PNG to write.
    """
    columns = [_column(report, model, image_id) for image_id in choose_fields(report.truth, 3)]
    height = max(column.shape[0] for column in columns)
    padded = [
        np.pad(column, ((0, height - len(column)), (0, 8), (0, 0)), constant_values=255)
        for column in columns
    ]
    picture = Image.fromarray(np.hstack(padded)[:, :-8])
    path.parent.mkdir(parents=True, exist_ok=True)
    # the class colours are kept as they are, the rest shares what is left of 256 colours
    colors = class_palette(len(model.runs[0].metrics.classes))
    fixed = [0, 0, 0, 255, 255, 255, *colors.ravel().tolist()]
    for side in (1200, 1100, 1000, 900, 800):
        small = picture.copy()
        small.thumbnail((side, side))
        rest = small.quantize(128 - len(fixed) // 3).getpalette() or []
        palette = Image.new('P', (1, 1))
        palette.putpalette(fixed + rest)
        small.quantize(palette=palette, dither=Image.Dither.NONE).save(path, 'PNG', optimize=True)
        if path.stat().st_size < MAX_BYTES:
            break


def _column(report: Report, model: ModelResult, image_id: int) -> np.ndarray:
    """Draw one field twice, one below the other."""
    assert report.image_dir is not None
    run = model.runs[0]
    path = report.image_dir / report.truth.imgs[image_id]['file_name']
    image = np.ascontiguousarray(read_image(path)[..., ::-1])  # upright, as the boxes are
    _, bboxes, labels = truth_boxes(report.truth, image_id)
    kept = run.predictions[image_id].above(run.metrics.pooled.score)
    found = ((bboxes, labels, None), (kept.bboxes, kept.labels, kept.scores))
    drawn = [
        # names large enough to stay readable when the picture is made smaller later
        _caption(
            draw_detections(image, boxes, of, scores, run.metrics.classes, scale=2, font_size=18),
            text,
        )
        for (boxes, of, scores), text in zip(found, ('truth', model.name), strict=True)
    ]
    return np.vstack(drawn)


def _caption(image: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above an image."""
    strip = Image.new('RGB', (image.shape[1], 26), 'white')
    ImageDraw.Draw(strip).text((2, 13), text, fill='black', font=label_font(17), anchor='lm')
    return np.vstack([np.asarray(strip), image])
