"""Fixtures that all tests share: seeds, threads, and a tiny data set in COCO format."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

# before any test imports mmdet, which needs mmcv's operators or what stands in for them
import ldwsccd_mmdet  # noqa: F401

TINY_CLASSES = ('lsil', 'hsil', 'scc')


@pytest.fixture(scope='session', autouse=True)
def _one_thread() -> None:
    """Tiny tensors are slower on several threads, and test processes would fight for cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


@pytest.fixture(scope='session', autouse=True)
def _configs_are_not_formatted() -> Iterator[None]:
    """Each runner and each dump would ask yapf to set its config prettily, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        # mmengine binds the name as it is imported, its fork each time that it formats
        for place in ('mmengine.config.config', 'yapf.yapflib.yapf_api'):
            patch.setattr(f'{place}.FormatCode', lambda text, **_: (text, True), raising=False)
        yield


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def make_tiny_coco() -> Callable[..., Path]:
    """Make a data set: ``make_tiny_coco(folder, name='train', ...)`` returns ``folder / 'tiny'``.

    That folder holds ``<name>.json`` and ``images/``. Each image is a pinkish field of ``size``
    (w, h) pixels with ``boxes_per_image`` dark discs: their boxes are exact, darkness is class.
    ``edit``, if given, changes the content of the json before it is written.
    """

    def make(
        folder: Path,
        name: str = 'train',
        num_images: int = 4,
        size: tuple[int, int] = (96, 64),
        boxes_per_image: int = 2,
        classes: Sequence[str] = TINY_CLASSES,
        edit: Callable[[dict], None] | None = None,
    ) -> Path:
        root = folder / 'tiny'
        (root / 'images').mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(sum(map(ord, name)))
        content: dict = {
            'images': [],
            'annotations': [],
            'categories': [{'id': i + 1, 'name': c} for i, c in enumerate(classes)],
        }
        for image_id in range(1, num_images + 1):
            image = np.full((size[1], size[0], 3), (215, 190, 230), np.uint8)
            for _ in range(boxes_per_image):
                label, radius = int(rng.integers(len(classes))), int(rng.integers(6, 12))
                x, y = (int(rng.integers(radius, side - radius)) for side in size)
                cv2.circle(image, (x, y), radius, (120 - 30 * label, 40, 90 - 25 * label), -1)
                box = [x - radius, y - radius, 2 * radius + 1, 2 * radius + 1]
                content['annotations'].append(
                    {
                        'id': len(content['annotations']) + 1,
                        'image_id': image_id,
                        'category_id': label + 1,
                        'bbox': box,
                        'area': box[2] * box[3],
                        'iscrowd': 0,
                    }
                )
            file_name = f'{name}_{image_id}.jpg'
            cv2.imwrite(str(root / 'images' / file_name), image)
            content['images'].append(
                {'id': image_id, 'file_name': file_name, 'width': size[0], 'height': size[1]}
            )
        if edit is not None:
            edit(content)
        (root / f'{name}.json').write_text(json.dumps(content), encoding='utf-8')
        return root

    return make


@pytest.fixture
def tiny_coco(tmp_path: Path, make_tiny_coco: Callable[..., Path]) -> Callable[..., Path]:
    """Make a data set below ``tmp_path``: ``tiny_coco(name='train', num_images=4, ...)``."""
    return partial(make_tiny_coco, tmp_path)
