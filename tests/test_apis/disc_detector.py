"""A detector that needs no network: it finds dark discs on a light ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from ldwsccd_mmdet.apis import CellDetections, DetectorInfo

CLASSES = ('small', 'large')


class DiscDetector:
    """Finds discs; those of 20 px and more are 'large'. A disc cut by the edge is found in part."""

    def __init__(self, **info) -> None:
        self.info = replace(
            DetectorInfo('discs', 'd15c', CLASSES, input_size=(64, 64), nms_iou=0.45), **info
        )
        self.calls = 0
        self.pixels = 0

    def detect(self, images: Sequence[np.ndarray]) -> list[CellDetections]:
        self.calls += 1
        results = []
        for image in images:
            self.pixels += image.shape[0] * image.shape[1]
            dark = (image.max(-1) < 150).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(dark)
            x, y, w, h = stats[1:, :4].T.astype(float)
            big = stats[1:, 4] >= 4
            boxes = np.stack([x, y, x + w, y + h], 1)[big]
            sides = boxes[:, 2:] - boxes[:, :2]
            # as a network is, less sure of what it sees in part
            scores = 0.5 + 0.4 * np.minimum(sides.min(1, initial=30), 30) / 30
            labels = (sides.max(1, initial=0) >= 20).astype(int)
            size = (image.shape[1], image.shape[0])
            results.append(CellDetections(boxes, scores, labels, self.info.classes, size))
        return results


def draw_discs(
    size: tuple[int, int], number: int, radii: tuple[int, int] = (5, 14), seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw discs that do not touch: image (BGR), and their boxes (n, 4)."""
    rng = np.random.default_rng(seed)
    image = np.full((size[1], size[0], 3), (225, 205, 235), np.uint8)
    taken = np.zeros(image.shape[:2], np.uint8)
    boxes: list[list[int]] = []
    while len(boxes) < number:
        r = int(rng.integers(*radii))
        x, y = (int(rng.integers(r + 1, side - r - 1)) for side in size)
        if taken[y - r : y + r + 1, x - r : x + r + 1].any():
            continue
        cv2.circle(taken, (x, y), r + 3, 1, -1)
        cv2.circle(image, (x, y), r, (90, 20, 80), -1)
        boxes.append([x - r, y - r, x + r + 1, y + r + 1])
    return image, np.array(boxes, float)


def write_image(
    path: Path, size: tuple[int, int] = (96, 64), number: int = 4, seed: int = 0
) -> int:
    """Write a picture of discs; returns how many it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw_discs(size, number, (4, 9), seed)[0])
    return number
