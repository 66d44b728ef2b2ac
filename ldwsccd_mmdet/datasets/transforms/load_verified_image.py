"""Load an image, or say which file is broken."""

from __future__ import annotations

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

from ...errors import ImageFileError

__all__ = ['LoadVerifiedImageFromFile', 'is_complete']

_JPEG, _JPEG_SCAN, _JPEG_END = b'\xff\xd8\xff', b'\xff\xda', b'\xff\xd9'
_PNG, _PNG_END = b'\x89PNG\r\n\x1a\n', b'IEND\xaeB`\x82'


def is_complete(data: bytes) -> bool:
    """Tell whether an encoded image reaches its end, without decoding it.

    JPEG: an end-of-image marker after the last scan (inside a scan neither marker can occur, and
    a preview in the header has its own, earlier ones). PNG: the IEND chunk. WebP: the length in its
    header. Other formats count as complete: OpenCV itself refuses them if they are cut short.

    Args:
        data: The content of the file.
    """
    if data.startswith(_JPEG):
        # the second test is for bytes after the end, as some cameras and scanners leave there
        return data.endswith(_JPEG_END) or data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
    if data.startswith(_PNG):
        return data.endswith(_PNG_END) or _PNG_END in data
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return len(data) >= int.from_bytes(data[4:8], 'little') + 8
    return True


@TRANSFORMS.register_module()
class LoadVerifiedImageFromFile(LoadImageFromFile):
    """Load an image as ``LoadImageFromFile`` does; name the file that can't be loaded.

    OpenCV decodes a JPEG that was cut short, and fills what is missing with grey: a detector would
    learn that there are no cells. Here such a file is an error, as is one that is missing or is
    no image. The check reads a few bytes of the file's end; damage in its middle is not seen.

    Required keys: ``img_path``. Modified keys: ``img`` (H, W, 3), BGR, ``uint8``; ``img_shape`` and
    ``ori_shape``, both (H, W).

    Args: as for :class:`mmcv.transforms.LoadImageFromFile`. With ``ignore_empty=True`` an image
    that can't be loaded gives None, and the data set takes another one.

    Raises:
        ImageFileError: The file is missing, cut short, or not an image.
    """

    def transform(self, results: dict) -> dict | None:
        """Load the image of ``results['img_path']``."""
        path = results['img_path']
        try:
            image = self._load(path)
        except ImageFileError:
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _load(self, path: str) -> np.ndarray:
        """Read, check and decode a file."""
        try:
            data = fileio.get(path, backend_args=self.backend_args)
        except OSError as error:
            raise ImageFileError(
                f"image file '{path}' cannot be read ({error.strerror or error}): put it there, "
                'mend data_root and data_prefix.img in the config, or take it out of the '
                'annotation file'
            ) from error
        if not is_complete(data):
            raise ImageFileError(
                f"image file '{path}' is cut short ({len(data)} bytes, its end is missing): copy "
                'it again from its source, or take it out of the annotation file'
            )
        try:
            image = mmcv.imfrombytes(data, flag=self.color_type, backend=self.imdecode_backend)
        except Exception as error:  # each decoding backend has exceptions of its own
            raise ImageFileError(self._no_image(path, data)) from error
        if image is None:
            raise ImageFileError(self._no_image(path, data))
        return image

    @staticmethod
    def _no_image(path: str, data: bytes) -> str:
        return (
            f"image file '{path}' ({len(data)} bytes) is not an image that can be decoded: copy "
            'it again from its source, or take it out of the annotation file'
        )
