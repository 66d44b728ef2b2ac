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

from ...datasets.files import (
    FoundImages,
    ImageHeader,
    encoded_header,
    frame_fault,
    is_dim,
    open_regular,
)
from ...image_files import is_complete
from .finding import Finding

__all__ = [
    'THUMBNAIL',
    'ImageScan',
    'check_image_files',
    'check_near_names',
    'scan_image',
    'scan_images',
]

#: Side of the thumbnails by which images are compared, pixels.
THUMBNAIL = 32

_LARGEST = 2**30  # pixels: OpenCV decodes no more
_LARGEST_WHOLE = 2**28  # of a format that is decoded as a whole
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
        thumbnail: Grey, ``float32``, shape ``(32, 32)``; None with a fault, or where the picture is
            too large to be decoded at once.
        header: What the header says; None with a fault.
        dim: Whether it has 16 bits and uses 12 or fewer.
    """

    fault: str | None
    size: tuple[int, int] | None = None
    digest: bytes | None = None
    thumbnail: np.ndarray | None = None
    header: ImageHeader | None = None
    dim: bool = False


def scan_image(path: str | Path) -> ImageScan:
    """Look at one image file.

    A JPEG is decoded at up to an eighth of its size, which is several times faster. Damage in the
    middle of a file is not seen, as decoders fill it in.
    """
    try:
        with open_regular(path) as file:
            data = file.read()
    except FileNotFoundError:
        return ImageScan('missing')
    except OSError:
        return ImageScan('unreadable')
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        header = encoded_header(data)
    except (OSError, SyntaxError, ValueError):
        return ImageScan('unreadable', digest=digest)
    if not is_complete(data):
        return ImageScan('truncated', digest=digest)
    size = header.size
    jpeg = data.startswith(b'\xff\xd8')
    if size[0] * size[1] > (_LARGEST if jpeg else _LARGEST_WHOLE):
        return ImageScan(None, size, digest, None, header)
    factor = next(f for f in _REDUCED if f == 1 or min(size) >= f * THUMBNAIL)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[factor])
    except cv2.error:
        picture = None
    if picture is None:
        return ImageScan('unreadable', digest=digest)
    thumbnail = cv2.resize(picture, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    dim = header.bits > 8 and is_dim(data)
    return ImageScan(None, size, digest, thumbnail.astype(np.float32), header, dim)


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
            'why': frame_fault((record['width'], record['height']), _header(scan)),
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
                'give the images that were labelled, or convert the boxes; mend width and height',
                wrong,
            )
        )
    return findings + _check_headers(records, scans)


def _header(scan: ImageScan) -> ImageHeader:
    assert scan.size is not None
    return scan.header or ImageHeader(*scan.size)


def _check_headers(
    records: Sequence[Mapping[str, Any]], scans: Sequence[ImageScan]
) -> list[Finding]:
    """Check for pictures of which training sees less than is in the file."""
    findings = []
    for check, level, holds, message, remedy in (
        (
            'image-bit-depth',
            'warning',
            lambda scan: scan.dim,
            'have 16 bits a value and use 12 of them or fewer: OpenCV divides by 256, so that they '
            'are read nearly black, at most 15 of 255',
            'save them with 8 bits, or multiply their values by 16',
        ),
        (
            'image-pages',
            'warning',
            lambda scan: scan.header.pages > 1,
            'hold several pages (focal planes, series): only the first one is read',
            'write the plane that was labelled, or their projection, to a file of its own',
        ),
        (
            'image-turned',
            'note',
            lambda scan: scan.header.tagged,
            'have an orientation tag, by which they are turned or mirrored when they are read',
            'look at some (--pictures): the boxes must be of the upright picture',
        ),
        (
            'image-large',
            'warning',
            lambda scan: scan.size[0] * scan.size[1] > _LARGEST,
            'have more pixels than OpenCV decodes, 2^30',
            'cut them into fields',
        ),
    ):
        found = [
            {'image': record['file_name']}
            for record, scan in zip(records, scans, strict=True)
            if scan.header is not None and holds(scan)
        ]
        if found:
            text = f'{len(found)} of {len(records)} images {message}'
            findings.append(Finding(check, level, text, remedy, found))
    return findings


def check_near_names(found: FoundImages) -> list[Finding]:
    """Say which images lie there under another name than the file gives."""
    findings = []
    if found.near:
        findings.append(
            Finding(
                'image-near-name',
                'note',
                f'{len(found.near)} images are there under a near name (case, accents, %20, \\)',
                'CervicalCellDataset finds them; other tools may not',
                [{'image': name, 'there as': str(path)} for name, path in found.near.items()],
            )
        )
    if found.hints:
        findings.append(
            Finding(
                'image-elsewhere',
                'note',
                f'for {len(found.hints)} missing images there is a file of the same last name',
                'mend file_name, or give the folder with --images',
                [{'image': name, 'perhaps': str(path)} for name, path in found.hints.items()],
            )
        )
    return findings
