"""Regions from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import TASK_UTILS
from mmdet.utils import InstanceList
from torch import Tensor

from ....errors import ConfigError, DatasetError
from ....regular_files import read_json
from .base_proposer import BaseProposer


@TASK_UTILS.register_module()
class FileProposer(BaseProposer):
    """Reads the regions of each image from a file, and moves them as the image was moved.

    The image may have been resized and flipped, in this order, as ``scale_factor``, ``flip`` and
    ``flip_direction`` of its meta say; a crop or an expansion is an error.

    The file is one of

    - ``.json``: COCO results, ``[{"image_id": 1, "bbox": [x, y, w, h], "score": 0.5}, ...]``, or a
      whole COCO file, whose ``annotations`` are then the regions. ``score`` may be left out.
    - ``.npz``: one array an image, (n, 4) or (n, 5): x1, y1, x2, y2 and perhaps a score, as
      ``tools/analysis_tools/proposal_recall.py --save`` writes it. Pickled arrays are refused.

    Boxes are in pixels of the image file. The file is read when the first regions are asked for.

    Args:
        file: Its path.
        key: What names an image in the file: ``'img_id'``, its id in the annotation file, or
            ``'file_name'``, the last part of its path.
        max_per_img: See :class:`BaseProposer`.
        nms_iou: See :class:`BaseProposer`. Default: 1, all regions of the file.
        min_size: See :class:`BaseProposer`.

    Raises:
        ConfigError: If an argument is outside its range, or an image was moved by more than
            resizing and flipping.
        DatasetError: If the file is missing or not of this form, or lacks an image.
    """

    def __init__(
        self,
        file: str | Path,
        key: str = 'img_id',
        max_per_img: int = 2000,
        nms_iou: float = 1.0,
        min_size: float = 1.0,
    ) -> None:
        super().__init__(max_per_img, nms_iou, min_size)
        self._check('key', key, key in ('img_id', 'file_name'), "'img_id' or 'file_name'")
        suffix = Path(file).suffix
        self._check('file', str(file), suffix in ('.json', '.npz'), 'a .json or .npz file')
        self.file = Path(file)
        self.key = key
        self._regions: dict[str, np.ndarray] | None = None

    @property
    def regions(self) -> dict[str, np.ndarray]:
        """Per image (n, 5) boxes and scores in pixels of the image file, read once."""
        if self._regions is None:
            if not self.file.is_file():
                raise DatasetError(
                    f"proposal file '{self.file}' does not exist: check the path, or write it with "
                    'tools/analysis_tools/proposal_recall.py CONFIG --save FILE.npz'
                )
            try:
                read = _read_npz if self.file.suffix == '.npz' else _read_json
                self._regions = read(self.file, self.key)
            except Exception as error:  # bytes cut or changed can make anything fail
                raise DatasetError(
                    f"proposal file '{self.file}' cannot be read ({type(error).__name__}: {error})"
                    ': expected arrays (n, 4) or (n, 5) by image in a .npz, or COCO results in a '
                    '.json'
                ) from error
        return self._regions

    @torch.no_grad()
    def __call__(
        self, batch_inputs: Tensor, batch_img_metas: list[dict], data_preprocessor: Any = None
    ) -> InstanceList:
        """See :meth:`BaseProposer.__call__`; ``data_preprocessor`` is not used.

        The metas need ``img_id`` (or ``img_path``), ``ori_shape``, ``scale_factor``, and ``flip``
        with ``flip_direction`` where images are flipped.
        """
        results = []
        for meta in batch_img_metas:
            name = str(meta['img_id']) if self.key == 'img_id' else Path(meta['img_path']).name
            if name not in self.regions:
                some = ', '.join(list(self.regions)[:3])
                raise DatasetError(
                    f"proposal file '{self.file}' has no regions of image {self.key}={name!r} "
                    f'({meta.get("img_path")}); it has {len(self.regions)} images ({some}, ...): '
                    f"write it for this data set, or set key='img_id' or 'file_name' as it is keyed"
                )
            found = torch.from_numpy(self.regions[name]).to(batch_inputs.device)
            bboxes = _move(found[:, :4], meta, type(self).__name__)
            results.append(self.select(bboxes, found[:, 4], meta['img_shape']))
        return results


def _move(bboxes: Tensor, meta: dict, who: str) -> Tensor:
    """Boxes (n, 4) of the image file in pixels of the batch tensor."""
    height, width = meta['img_shape'][:2]
    x, y = tuple(meta.get('scale_factor') or (1.0, 1.0))[:2]
    expected = (meta['ori_shape'][0] * y, meta['ori_shape'][1] * x)
    if abs(expected[0] - height) > 1 or abs(expected[1] - width) > 1:
        raise ConfigError(
            f'{who}: image {meta.get("img_path")} of {meta["ori_shape"][:2]} pixels was scaled by '
            f'{(y, x)} but is {(height, width)} now: it was cropped or expanded, which boxes of a '
            'file cannot follow; keep only Resize and RandomFlip in the pipeline'
        )
    bboxes = bboxes * bboxes.new_tensor([x, y, x, y])
    if not meta.get('flip', False):
        return bboxes
    x1, y1, x2, y2 = bboxes.unbind(dim=1)
    direction = meta.get('flip_direction')
    if direction in ('horizontal', 'diagonal'):
        x1, x2 = width - x2, width - x1
    if direction in ('vertical', 'diagonal'):
        y1, y2 = height - y2, height - y1
    return torch.stack([x1, y1, x2, y2], dim=1)


def _read_npz(file: Path, key: str) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: _with_scores(arrays[name], name) for name in arrays.files}


def _read_json(file: Path, key: str) -> dict[str, np.ndarray]:
    content = read_json(file)
    records = content['annotations'] if isinstance(content, dict) else content
    images = content.get('images', []) if isinstance(content, dict) else []
    if key == 'file_name' and not images:
        raise ValueError("key='file_name' needs the list 'images' of a whole COCO file")
    names = {image['id']: Path(image['file_name']).name for image in images}
    by_id: dict[Any, list[list[float]]] = {image['id']: [] for image in images}
    for record in records:
        x, y, w, h = record['bbox']
        row = [x, y, x + w, y + h, record.get('score', 1.0)]
        by_id.setdefault(record['image_id'], []).append(row)
    return {
        names[image_id] if key == 'file_name' else str(image_id): _with_scores(
            np.asarray(rows, np.float32).reshape(-1, 5), str(image_id)
        )
        for image_id, rows in by_id.items()
    }


def _with_scores(array: np.ndarray, name: str) -> np.ndarray:
    """Boxes and scores (n, 5), float32; without scores the first box comes first."""
    if array.ndim != 2 or array.shape[1] not in (4, 5) or array.dtype.kind not in 'fiu':
        raise ValueError(f'{name} is {array.dtype} {array.shape}')
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f'{name} holds numbers that are not finite')
    if array.shape[1] == 4:
        array = np.concatenate([array, np.ones((len(array), 1), np.float32)], axis=1)
    return array
