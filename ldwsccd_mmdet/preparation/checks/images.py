"""Open every image once, quickly: is it whole, how large is it, what does it look like."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...datasets.files import size_of_encoded
from ...image_files import is_complete
from .finding import Finding

__all__ = ['THUMBNAIL', 'ImageScan', 'check_image_files', 'scan_image', 'scan_images']

#: Side of the thumbnails by which images are compared, pixels.
THUMBNAIL = 32

_REDUCED = {
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    1: cv2.IMREAD_GRAYSCALE,
}


@dataclass(frozen=True)
class ImageScan:
    """What one look at an image file tells.

    Attributes:
        fault: ``'missing'``, ``'unreadable'``, ``'truncated'``, or None.
        size: Width and height, pixels, turned by EXIF as OpenCV turns it; None with a fault.
        digest: Hash of the content; None if missing.
        thumbnail: Grey, ``float32``, shape ``(32, 32)``; None with a fault.
    """

    fault: str | None
    size: tuple[int, int] | None = None
    digest: bytes | None = None
    thumbnail: np.ndarray | None = None


def scan_image(path: str | Path) -> ImageScan:
    """Look at one image file.

    A JPEG is decoded at up to an eighth of its size, which is several times faster. Damage in the
    middle of a file is not seen, as decoders fill it in.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return ImageScan('missing')
    except OSError:
        return ImageScan('unreadable')
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        size = size_of_encoded(data)
    except (OSError, Image.DecompressionBombError):
        return ImageScan('unreadable', digest=digest)
    if not is_complete(data):
        return ImageScan('truncated', digest=digest)
    factor = next(f for f in _REDUCED if f == 1 or min(size) >= f * THUMBNAIL)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor])
    except cv2.error:
        picture = None
    if picture is None:
        return ImageScan('unreadable', digest=digest)
    thumbnail = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    return ImageScan(None, size, digest, thumbnail.astype(np.float32))


def scan_images(
    paths: Sequence[str | Path],
    workers: int = 2,
    progress: Callable[[], Any] | None = None,
) -> list[ImageScan]:
    """Look at many image files; decoding runs in threads, since OpenCV lets go of the GIL.

    Args:
        paths: The files.
        workers: Number of threads.
        progress: Called once an image.
    """
    with ThreadPoolExecutor(workers) as pool:
        scans = []
        for scan in pool.map(scan_image, paths):
            scans.append(scan)
            if progress is not None:
                progress()
    return scans


def check_image_files(
    records: Sequence[Mapping[str, Any]], scans: Sequence[ImageScan]
) -> list[Finding]:
    """Check that each file is there, whole, and of the size that its record gives.

    Args:
        records: Image records of a COCO file.
        scans: What was seen of each, in the same order.
    """
    remedies = {
        'missing': 'put them there, or give their folder with --images',
        'unreadable': 'copy them again from their source, or take them out of the file',
        'truncated': 'copy them again from their source: decoders fill the rest with grey',
    }
    findings = []
    for fault, remedy in remedies.items():
        bad = [
            {'image': record['file_name']}
            for record, scan in zip(records, scans, strict=True)
            if scan.fault == fault
        ]
        if bad:
            message = f'{len(bad)} of {len(records)} image files are {fault}'
            findings.append(Finding(f'image-{fault}', 'error', message, remedy, bad))
    wrong = [
        {
            'image': record['file_name'],
            'in the file': [record['width'], record['height']],
            'in truth': list(scan.size),
        }
        for record, scan in zip(records, scans, strict=True)
        if scan.size is not None and scan.size != (record['width'], record['height'])
    ]
    if wrong:
        turned = sum(item['in the file'] == item['in truth'][::-1] for item in wrong)
        note = f', {turned} of them with width and height exchanged' if turned else ''
        findings.append(
            Finding(
                'image-size',
                'error',
                f'{len(wrong)} images have another size than the file says{note}',
                'mend width and height, and see that the boxes belong to the true size',
                wrong,
            )
        )
    return findings
