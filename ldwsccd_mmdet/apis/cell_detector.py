"""What every detector offers to prediction, be it a checkpoint or an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .cell_detections import CellDetections

__all__ = ['CellDetector', 'DetectorInfo']


@dataclass(frozen=True)
class DetectorInfo:
    """What is known of a detector.

    Attributes:
        name: Which detector it is, for people.
        digest: Hash of its weights: another digest is another detector.
        classes: Class names.
        input_size: Width and height that images are resized to, pixels; None: not resized.
        stride: Least stride of its maps, pixels of the input.
        nms_iou: Overlap from which its NMS takes two boxes of a class for one.
        field_size: Usual width and height of the images it was trained on, pixels; None: not known.
        mpp: Micrometres a pixel of the images it was trained on; None: not known.
        score_thr: Score of the best F1 on its validation set; None: not known.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    input_size: tuple[int, int] | None = None
    stride: int = 8
    nms_iou: float = 0.5
    field_size: tuple[int, int] | None = None
    mpp: float | None = None
    score_thr: float | None = None


class CellDetector(Protocol):
    """Finds cells in images."""

    info: DetectorInfo

    def detect(self, images: Sequence[np.ndarray]) -> list[CellDetections]:
        """Find the cells of images.

        Args:
            images: BGR, each ``(H, W, 3)`` and ``uint8``, of any sizes.

        Returns:
            For each image its cells, in its pixels.
        """
        ...
