"""What every detector offers to prediction, be it a checkpoint or an exported file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import check_argument
from .cell_detections import CellDetections

__all__ = ['CellDetector', 'DetectorInfo', 'check_images']


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

        Raises:
            ConfigError: If one of them is no such array (:func:`check_images`).
        """
        ...


def check_images(images: Sequence[np.ndarray]) -> None:
    """Refuse what is no list of BGR images: most of all what ``cv2.imread`` gives for no file.

    Raises:
        ConfigError: It names the image, and what it is.
    """
    # an image alone would be taken for a list of its rows
    several = not isinstance(images, np.ndarray) or images.ndim == 4
    for number, image in enumerate(images if several else [images]):
        found: object = image if image is None else type(image)
        if isinstance(image, np.ndarray):
            found = f'{image.dtype} {image.shape}' + ('' if several else ', not in a list')
        check_argument(
            several
            and isinstance(image, np.ndarray)
            and (image.ndim, image.shape[2:], image.dtype) == (3, (3,), np.uint8)
            and image.size > 0,
            f'images[{number}]',
            'BGR images in a list, each uint8 (H, W, 3)',
            found,
            'cv2.imread reads a file so, and gives None where it cannot',
        )
