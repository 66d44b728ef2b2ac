"""A detector measured on annotated images, and the score that separates cells from the rest."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..datasets.coco_json import load_truth
from ..errors import DatasetError
from ..evaluation import DetectionMetrics, Detections, evaluate_detections
from .cell_detector import CellDetector
from .slides import ImageField
from .tiled_detection import Tiling, detect_tiled

__all__ = ['best_f1_score', 'measure']


def measure(
    detector: CellDetector,
    ann_file: Path,
    images: Path,
    tiling: Tiling | None = None,
    progress: Callable[[int, int, str], Any] = lambda done, total, name: None,
) -> DetectionMetrics:
    """Measure a detector on annotated images, as the report does.

    Args:
        detector: The detector.
        ann_file: COCO json.
        images: Folder of its images.
        tiling: As in prediction.
        progress: Called before each image with the number done, of all, and its name.

    Raises:
        DatasetError: The file can't be read, or its images are missing.
    """
    truth = load_truth(ann_file)
    found = {}
    records = list(truth.imgs.values())
    for index, record in enumerate(records):
        progress(index, len(records), record['file_name'])
        field = ImageField(images / record['file_name'])
        if tiling is None:
            cells = detector.detect([field.image])[0]
        else:
            cells = detect_tiled(detector, field, tiling)
        found[record['id']] = Detections(cells.bboxes, cells.scores, cells.labels)
    return evaluate_detections(truth, found, detector.info.classes)


def best_f1_score(
    detector: CellDetector,
    ann_file: Path,
    images: Path,
    tiling: Tiling | None = None,
    progress: Callable[[int, int, str], Any] = lambda done, total, name: None,
) -> float:
    """Find the score from which on precision and recall of all classes together give the best F1.

    Choose on images that the detector was not trained on, and not on those of a test.

    Args:
        detector: The detector.
        ann_file: COCO json.
        images: Folder of its images.
        tiling: As in prediction.
        progress: Called before each image with the number done, of all, and its name.

    Raises:
        DatasetError: The file can't be read, its images are missing, or nothing was found.
    """
    score = measure(detector, ann_file, images, tiling, progress).pooled.score
    if math.isnan(score):
        raise DatasetError(
            f"--val: the detector finds no cell on the images of '{ann_file}': give --score-thr"
        )
    return float(score)
