"""Pictures of pseudo-boxes beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from PIL import Image

from .draw_detections import draw_detections

__all__ = ['draw_pseudo_boxes']


def draw_pseudo_boxes(
    image_path: str,
    sample: Mapping[str, Any],
    classes: Sequence[str],
    out: Path,
    score_thr: float = 0.0,
) -> None:
    """Draw the true boxes on the left, the pseudo-boxes on the right, into ``out``.

    Args:
        image_path: The image file.
        sample: ``pred_instances`` and ``gt_instances``, in its pixels.
        classes: Names of the classes.
        out: Folder; the picture is called as the image.
        score_thr: Draw pseudo-boxes from this score on.
    """
    found, truth = sample['pred_instances'], sample['gt_instances']
    keep = (found.scores >= score_thr).cpu().numpy()
    boxes, labels, scores = (
        value.cpu().numpy()[keep] for value in (found.bboxes, found.labels, found.scores)
    )
    image = mmcv.imread(image_path, channel_order='rgb')
    known = truth['bboxes'].numpy(), truth['labels'].numpy()
    left = draw_detections(image, *known, classes=classes, scale=1)
    right = draw_detections(image, boxes, labels, scores, classes=classes, scale=1)
    gap = np.full((len(left), 8, 3), 255, np.uint8)
    out.mkdir(parents=True, exist_ok=True)
    picture = np.concatenate([left, gap, right], axis=1)
    Image.fromarray(picture).save(out / f'{Path(image_path).stem}.jpg')
