"""Detections as files that other programs open: COCO json, CSV, GeoJSON, counts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import numpy as np

from ..csv_table import safe_cell, write_rows
from ..datasets.palette import class_palette
from .cell_detections import CellDetections

__all__ = ['safe_cell', 'to_coco', 'write_counts', 'write_csv', 'write_geojson', 'write_whole']

CSV_HEADER = (
    'image',
    'class',
    'score',
    'x_px',
    'y_px',
    'width_px',
    'height_px',
    'x_um',
    'y_um',
    'width_um',
    'height_um',
)


def write_whole(path: Path, write: Callable[[TextIO], Any]) -> None:
    """Write a text file: whole, or not at all; an older one stays until then.

    Several processes, of several machines even, may write one file: the last one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{uuid4().hex[:12]}.part')
    try:
        with part.open('w', encoding='utf-8', newline='') as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def xywh(bboxes: np.ndarray) -> np.ndarray:
    """Turn ``x1, y1, x2, y2`` into ``x, y, width, height``, shape ``(n, 4)``."""
    return np.hstack([bboxes[:, :2], bboxes[:, 2:] - bboxes[:, :2]])


def write_csv(path: Path, results: Iterable[tuple[str, CellDetections]]) -> None:
    """Write one row a cell: image, class, score, box in pixels and in micrometres.

    Args:
        path: The file.
        results: Name and cells of each image. Where the resolution is not known, the last four
            columns are empty.
    """

    def rows() -> Iterator[Sequence[Any]]:
        yield CSV_HEADER
        for name, cells in results:
            boxes = xywh(cells.bboxes)
            microns = boxes * np.tile(cells.mpp, 2) if cells.mpp else None
            for i, label in enumerate(cells.labels):
                lengths = ['', '', '', ''] if microns is None else [f'{v:.3f}' for v in microns[i]]
                pixels = (f'{value:.2f}' for value in boxes[i])
                yield name, cells.classes[label], f'{cells.scores[i]:.4f}', *pixels, *lengths

    write_whole(path, lambda file: write_rows(file, rows()))


def write_counts(
    path: Path, results: Iterable[tuple[str, CellDetections]], classes: Sequence[str]
) -> None:
    """Write a row an image: how many cells of each class, and in all; the last row sums them."""

    def rows() -> Iterator[Sequence[Any]]:
        yield 'image', *classes, 'all'
        total = np.zeros(len(classes), int)
        for name, cells in results:
            counts = np.array(list(cells.counts().values()), int)
            total += counts
            yield name, *counts.tolist(), int(counts.sum())
        yield 'all images', *total.tolist(), int(total.sum())

    write_whole(path, lambda file: write_rows(file, rows()))


def to_coco(
    cells: CellDetections, image_id: int, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """Write cells as COCO's results format has them.

    Args:
        cells: The cells.
        image_id: Id of the image.
        category_ids: Id of each class.
    """
    return [
        {
            'image_id': image_id,
            'category_id': category_ids[label],
            'bbox': [round(value, 2) for value in box],
            'score': round(float(score), 5),
        }
        for box, score, label in zip(
            xywh(cells.bboxes).tolist(), cells.scores, cells.labels, strict=True
        )
    ]


def write_geojson(path: Path, cells: CellDetections, origin: tuple[int, int] = (0, 0)) -> None:
    """Write cells as QuPath reads them: detections with class, colour and score.

    A rectangle is a closed polygon in pixels of the image (of a slide: of its largest level). The
    cells of a slide are many: they are written one by one.

    Args:
        path: The file.
        cells: The cells.
        origin: Where QuPath's picture begins in the image, pixels. Of a slide it shows the part
            that was scanned.
    """

    def write(file: TextIO) -> None:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, feature in enumerate(geojson_features(cells, origin)):
            file.write(',\n' if number else '\n')
            file.write(json.dumps(feature, allow_nan=False))
        file.write(']}\n')

    write_whole(path, write)


def geojson_features(
    cells: CellDetections, origin: tuple[int, int] = (0, 0)
) -> Iterator[dict[str, Any]]:
    """Yield each cell as a feature of GeoJSON, in pixels from ``origin``."""
    colors = class_palette(len(cells.classes)).tolist()
    bboxes = np.round(cells.bboxes - np.tile(origin, 2), 2)
    scores = np.round(cells.scores.astype(float), 4)
    for box, score, label in zip(bboxes, scores, cells.labels, strict=True):
        x1, y1, x2, y2 = box.tolist()
        ring = [[x1, y1], [x2, y1], [x2, y2], [x1, y2], [x1, y1]]
        properties: Mapping[str, Any] = {
            'objectType': 'detection',
            'classification': {'name': cells.classes[label], 'color': colors[label]},
            'measurements': {'score': float(score)},
        }
        yield {
            'type': 'Feature',
            'geometry': {'type': 'Polygon', 'coordinates': [ring]},
            'properties': properties,
        }


def dump_json(content: Any) -> Callable[[TextIO], Any]:
    """Give what writes content as JSON, numbers only as JSON has them."""
    return lambda file: json.dump(content, file, allow_nan=False)
