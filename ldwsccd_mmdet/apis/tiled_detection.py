"""Detect in tiles, read by processes while the network runs; few are in memory at a time."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from .cell_detections import CellDetections
from .cell_detector import CellDetector, DetectorInfo
from .slides import Field, Slide, open_field, tissue_of, tissue_tiles
from .tiles import merge_tiles, tile_boxes

__all__ = ['Tiling', 'detect_tiled', 'needed_overlap', 'tile_size']

#: Part of a tile that must be tissue for the network to look at it: a small nucleus is enough.
_LEAST_TISSUE = 1e-4
_OVERVIEW_SIDE = 4096


@dataclass(frozen=True)
class Tiling:
    """How a large field is cut.

    Attributes:
        tile: Width and height of a tile, pixels as the network was trained on.
        overlap: Part of a tile that it shares with the next.
        batch_size: Tiles that the network sees at once.
        workers: Processes that read tiles of a slide; 0: none.
        tissue: Whether tiles of a slide without tissue are left out.
    """

    tile: tuple[int, int]
    overlap: float = 0.2
    batch_size: int = 4
    workers: int = 2
    tissue: bool = True


def tile_size(text: str, info: DetectorInfo) -> tuple[int, int]:
    """Read ``--tile``: ``auto``, ``640`` or ``1269x941``.

    ``auto`` is the size of the images that the detector was trained on: a tile is then squeezed
    into the network as they were. Where that is not known it is the network's own input.

    Raises:
        InputError: It is none of these.
    """
    if text == 'auto':
        size = info.field_size or info.input_size
        if size is None:
            raise InputError(
                '--tile auto: the model does not say how large its training images were: give a '
                'size, as in --tile 640 or --tile 1269x941'
            )
        return size
    parts = text.lower().split('x')
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise InputError(
            f"--tile: expected 'auto', a side in pixels or WIDTHxHEIGHT, found '{text}'"
        )
    return int(parts[0]), int(parts[-1])


def detect_tiled(
    detector: CellDetector,
    field: Field,
    tiling: Tiling,
    mpp: tuple[float, float] | None = None,
    path: str | Path | None = None,
    progress: Callable[[float], Any] = lambda part: None,
) -> CellDetections:
    """Find the cells of a large field, tile by tile.

    Where the resolution of both is known, the field is brought to that of the training images.

    Args:
        detector: The detector.
        field: The image or slide.
        tiling: How it is cut.
        mpp: Micrometres a pixel of the field.
        path: Its file, with which processes open it themselves; None: they do not read.
        progress: Called after each batch with the part of the field that was looked at, in (0, 1].

    Returns:
        Its cells, each once, in its pixels.
    """
    info = detector.info
    factor = _factor(info, mpp)
    extent = np.maximum(np.rint(np.asarray(tiling.tile) * factor), 1).astype(int)
    tiles = tile_boxes(field.size, (int(extent[0]), int(extent[1])), tiling.overlap)
    is_slide = isinstance(field, Slide)
    if tiling.tissue and is_slide:
        overview = field.overview(_OVERVIEW_SIDE)
        if overview is not None:
            tiles = tiles[tissue_tiles(overview, field.size, tiles)]
    sizes = np.maximum(np.rint((tiles[:, 2:] - tiles[:, :2]) / factor), 1).astype(int)
    read = _read_ahead if is_slide and path is not None and tiling.workers > 0 else _read_here
    found: list[tuple[np.ndarray, CellDetections]] = []
    images = read(field, path, tiles, sizes, tiling, tiling.tissue and is_slide)
    while batch := list(islice(images, tiling.batch_size)):
        cells = detector.detect([image for _, image in batch])
        found += [
            (tiles[index], _placed(part, tiles[index]))
            for (index, _), part in zip(batch, cells, strict=True)
            if len(part)
        ]
        progress((batch[-1][0] + 1) / len(tiles))
    empty = CellDetections(
        np.zeros((0, 4)), np.zeros(0), np.zeros(0), info.classes, field.size, mpp
    )
    if not found:
        return empty
    overlap = extent * tiling.overlap
    boxes, scores, labels = merge_tiles(
        np.concatenate([part.bboxes for _, part in found]),
        np.concatenate([part.scores for _, part in found]),
        np.concatenate([part.labels for _, part in found]),
        np.concatenate([np.tile(tile, (len(part), 1)) for tile, part in found]),
        field.size,
        (float(overlap[0]), float(overlap[1])),
        info.nms_iou,
    )
    return replace(empty, bboxes=boxes, scores=scores, labels=labels)


def needed_overlap(
    cells: CellDetections,
    info: DetectorInfo,
    tiling: Tiling,
    mpp: tuple[float, float] | None = None,
) -> np.ndarray:
    """How large an overlap must be for each cell to be seen whole, wherever it lies.

    Args:
        cells: Cells of a field.
        info: The detector.
        tiling: How the field was cut.
        mpp: Micrometres a pixel of the field.

    Returns:
        Parts of a tile, shape ``(n,)``: those of the cell's longer side, by axis.
    """
    tile = np.asarray(tiling.tile) * _factor(info, mpp)
    return ((cells.bboxes[:, 2:] - cells.bboxes[:, :2]) / tile).max(1, initial=0)


def _factor(info: DetectorInfo, mpp: tuple[float, float] | None) -> np.ndarray:
    """Pixels of the field for a pixel of training, by axis."""
    return np.ones(2) if mpp is None or not info.mpp else info.mpp / np.asarray(mpp)


def _placed(cells: CellDetections, tile: np.ndarray) -> CellDetections:
    """Turn boxes of a tile's pixels into the field's."""
    scale = (tile[2:] - tile[:2]) / np.asarray(cells.size)
    return replace(cells, bboxes=cells.bboxes * np.tile(scale, 2) + np.tile(tile[:2], 2))


def _look(field: Field, box: np.ndarray, size: np.ndarray, tissue: bool) -> np.ndarray | None:
    """Read a tile; None if it is empty glass."""
    image = field.read(box.tolist(), (int(size[0]), int(size[1])))
    if tissue and tissue_of(image).mean() < _LEAST_TISSUE:
        return None
    return image


def _read_here(
    field: Field,
    path: str | Path | None,
    tiles: np.ndarray,
    sizes: np.ndarray,
    tiling: Tiling,
    tissue: bool,
) -> Iterator[tuple[int, np.ndarray]]:
    """Read tiles in this process."""
    for index, (box, size) in enumerate(zip(tiles, sizes, strict=True)):
        image = _look(field, box, size, tissue)
        if image is not None:
            yield index, image


_FIELD: Any = None


def _open_in_worker(path: str) -> None:
    """Open the field once in each process."""
    global _FIELD
    cv2.setNumThreads(0)  # each process is one thread; the pool of the parent is not in it
    _FIELD = open_field(path)


def _look_in_worker(box: np.ndarray, size: np.ndarray, tissue: bool) -> np.ndarray | None:
    return _look(_FIELD, box, size, tissue)


def _read_ahead(
    field: Field,
    path: str | Path | None,
    tiles: np.ndarray,
    sizes: np.ndarray,
    tiling: Tiling,
    tissue: bool,
) -> Iterator[tuple[int, np.ndarray]]:
    """Read tiles in processes, in order, a few ahead of the network."""
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context('fork' if 'fork' in methods else None)
    ahead = 4 * tiling.workers + tiling.batch_size
    with ProcessPoolExecutor(
        tiling.workers, context, initializer=_open_in_worker, initargs=(str(path),)
    ) as pool:
        todo = iter(enumerate(zip(tiles, sizes, strict=True)))
        waiting: deque[tuple[int, Future]] = deque()

        def submit(items: Sequence[tuple[int, tuple[np.ndarray, np.ndarray]]]) -> None:
            for index, (box, size) in items:
                waiting.append((index, pool.submit(_look_in_worker, box, size, tissue)))

        submit(list(islice(todo, ahead)))
        try:
            while waiting:
                index, future = waiting.popleft()
                image = future.result()
                submit(list(islice(todo, 1)))
                if image is not None:
                    yield index, image
        finally:
            for _, future in waiting:
                future.cancel()
