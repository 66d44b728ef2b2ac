"""Check the file that an image was loaded from."""

from __future__ import annotations

from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmengine import fileio
from mmengine.fileio import LocalBackend, get_file_backend

from ...errors import ImageFileError
from ...image_files import check_complete

__all__ = ['VerifyImage']

_TAIL = 16  # bytes at the end of a file that say whether it is whole


@TRANSFORMS.register_module()
class VerifyImage(BaseTransform):
    """Refuse an image whose file was cut short; put it after mmdet's ``LoadImageFromFile``.

    OpenCV decodes a JPEG that was cut short, and fills what is missing with grey: a detector would
    learn that there are no cells. Here such a file is an error that names it. The check reads a
    few bytes of the file's end; damage in its middle is not seen. A file that can't be decoded
    at all is named by :class:`ldwsccd_mmdet.datasets.CervicalCellDataset`.

    It is a transform of its own, because mmdet's ``DetInferencer``, its demo and SAHI look for a
    loader of the name ``LoadImageFromFile``. An image given as an array has no file: it passes.

    Required keys: ``img_path`` (may be missing or None). Modified keys: none.

    Args:
        ignore_empty: Give None for such an image, so that the data set takes another one.
        backend_args: How to read the file, as in ``LoadImageFromFile``.

    Raises:
        ImageFileError: The file is cut short.
    """

    def __init__(self, ignore_empty: bool = False, backend_args: dict | None = None) -> None:
        self.ignore_empty = ignore_empty
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict | None:
        """Check the file of ``results['img_path']``."""
        path = results.get('img_path')
        if path is None or self._ends_well(path):
            return results
        try:
            check_complete(fileio.get(path, backend_args=self.backend_args), path)
        except ImageFileError:
            if self.ignore_empty:
                return None
            raise
        return results

    def _ends_well(self, path: str) -> bool:
        """Whether the last bytes of a local file already say that it is whole."""
        if not isinstance(get_file_backend(path, backend_args=self.backend_args), LocalBackend):
            return False
        with open(path, 'rb') as file:
            head = file.read(_TAIL)
            file.seek(0, 2)
            file.seek(max(file.tell() - _TAIL, 0))
            tail = file.read()
        if head.startswith(b'\xff\xd8\xff'):
            return tail.endswith(b'\xff\xd9')
        return head.startswith(b'\x89PNG') and tail.endswith(b'IEND\xaeB`\x82')

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ignore_empty={self.ignore_empty})'
