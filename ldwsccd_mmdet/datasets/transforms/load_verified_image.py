"""The loader of configs that are inside older checkpoints."""

from __future__ import annotations

import warnings
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

from ...errors import ImageFileError
from ...image_files import check_complete, decode_image

__all__ = ['LoadVerifiedImageFromFile']


@TRANSFORMS.register_module()
class LoadVerifiedImageFromFile(LoadImageFromFile):
    """Load an image, or name the file that can't be loaded; deprecated.

    Write ``dict(type='LoadImageFromFile'), dict(type='VerifyImage')``: mmdet's ``DetInferencer``
    and SAHI look for that name. This class stays for the configs inside older checkpoints.

    Args: as for :class:`mmcv.transforms.LoadImageFromFile`. With ``ignore_empty=True`` an image
    that can't be loaded gives None, and the data set takes another one.

    Raises:
        ImageFileError: The file is missing, cut short, or not an image.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            "LoadVerifiedImageFromFile is deprecated: write dict(type='LoadImageFromFile'), "
            "dict(type='VerifyImage')",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)

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
        check_complete(data, path)
        try:
            image = mmcv.imfrombytes(data, flag=self.color_type, backend=self.imdecode_backend)
        except Exception:  # each decoding backend has exceptions of its own
            image = None
        return decode_image(data, path) if image is None else image
