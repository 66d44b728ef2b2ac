"""Pictures of what local distillation sees in the images of a data set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from ..errors import ConfigError, DatasetError
from ..models.detectors import LDWSCCDMixin
from ..models.losses import DistillationMaps
from .distillation_maps import plot_distillation_maps

__all__ = ['draw_distillation']


def draw_distillation(
    student: LDWSCCDMixin,
    dataset: Any,
    out: Path,
    which: str,
    number: int = 4,
    levels: Sequence[int] | None = None,
    with_image: bool = True,
    dpi: int = 80,
) -> Iterator[Path]:
    """Draw mask, attention and feature error: one PNG an image, one row a pair of levels.

    Args:
        student: A student with its teacher, in eval mode.
        dataset: Images without augmentation, as of :func:`build_plain_dataset`.
        out: Folder for the pictures.
        which: Which student it is, for the title.
        number: Images, evenly spread over the set.
        levels: Pairs of levels, counted from 0; None: all.
        with_image: Show the photograph under the maps.
        dpi: Pixels an inch.

    Yields:
        Each picture's path, once it is written.

    Raises:
        ConfigError: There is no such pair of levels.
        DatasetError: The set has no image.
    """
    num_pairs = len(student.distillation.student_channels)
    levels = list(range(num_pairs)) if levels is None else levels
    if not set(levels) <= set(range(num_pairs)):
        raise ConfigError(
            f'--levels: expected numbers from 0 to {num_pairs - 1}, one a pair of levels in '
            f'model.distillation, found {" ".join(map(str, levels))}'
        )
    if len(dataset) == 0:
        raise DatasetError('the data set: expected images, found none')
    out.mkdir(parents=True, exist_ok=True)
    indices = np.linspace(0, len(dataset) - 1, min(number, len(dataset))).round().astype(int)
    for index in map(int, indices):
        item = dataset[index]
        sample = item['data_samples']
        maps, bboxes, input_size = _maps_of(student, item, _cells_of(dataset, index, sample))
        file = Path(sample.img_path)
        figure = plot_distillation_maps(
            [maps[level] for level in levels],
            bboxes,
            input_size,
            item['inputs'].permute(1, 2, 0).numpy()[..., ::-1] if with_image else None,
            title=f'{file.name}, {len(bboxes)} boxes; {which}',
        )
        stem = re.sub(r'[^\w.-]', '_', file.stem)
        path = out / f'{index:05d}_{stem}.png'
        figure.savefig(path, dpi=dpi)
        yield path


def _cells_of(dataset: Any, index: int, sample: Any) -> InstanceData:
    """The boxes of an image in pixels of its resized tensor.

    A pipeline of validation may leave them in pixels of the file: they are taken from there.
    """
    cells = [
        cell for cell in dataset.get_data_info(index)['instances'] if not cell.get('ignore_flag')
    ]
    x, y = sample.metainfo.get('scale_factor', (1.0, 1.0))[:2]
    boxes = np.array([cell['bbox'] for cell in cells], np.float32).reshape(-1, 4)
    return InstanceData(
        bboxes=torch.from_numpy(boxes * np.array([x, y, x, y], np.float32)),
        labels=torch.tensor([cell['bbox_label'] for cell in cells], dtype=torch.long),
    )


@torch.no_grad()
def _maps_of(
    student: Any, item: dict, cells: InstanceData
) -> tuple[list[DistillationMaps], np.ndarray, tuple[int, int]]:
    """Maps of one image, the boxes that make its mask, and the size of its batch tensor."""
    data = student.data_preprocessor(pseudo_collate([item]), False)
    data['data_samples'][0].gt_instances = cells.to(data['inputs'].device)
    inputs = student.distillation_inputs(
        student.extract_feat(data['inputs']), data['inputs'], data['data_samples']
    )
    maps = student.distillation.maps(**inputs)
    return maps, inputs['bboxes'][0].cpu().numpy(), inputs['input_size']
