"""Writes a set of composed scenes as COCO json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import ConfigError, DatasetError
from ...image_files import read_image
from ..converters.coco_builder import CocoBuilder, check_new, dump
from ..synthetic.writer import whole_or_nothing
from .crops import (
    Bystander,
    Cell,
    cut_bystanders,
    cut_cell,
    find_crops,
    split_crops,
)
from .scene import ComposedScene, Scene

__all__ = ['write_composed_dataset']

_QUALITY = 93  # of JPEG


def write_composed_dataset(
    crop_dir: str | Path,
    out_dir: str | Path,
    classes: Sequence[str],
    num_train: int,
    num_test: int,
    seed: int = 0,
    test_fraction: float = 0.25,
    bystanders_from: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
    **scene_settings: Any,
) -> dict[str, CocoBuilder]:
    """Compose a training and a test set whose cells come from different crops.

    ``out_dir`` gets ``images/``, ``train.json``, ``test.json`` and ``settings.json``; it appears
    only when all of it is there. Each annotation names its crop.

    Args:
        crop_dir: Folder with one folder of crops a class.
        out_dir: Folder to make.
        classes: Classes; category ids count from 1 in this order.
        num_train: Number of training scenes, at least 1.
        num_test: Number of test scenes, at least 0.
        seed: Seed of the split and of the scenes.
        test_fraction: Share of each class's crops for the test scenes.
        bystanders_from: Classes whose crops also give what lies around: choose such whose
            surroundings hold no cell that ought to have a box.
        progress: Called with (scenes done, scenes in all).
        **scene_settings: Further arguments of :class:`ComposedScene`.

    Returns:
        The records of ``train`` and ``test``.

    Raises:
        ConfigError: An argument is out of its range, or the folder is there.
        DatasetError: Crops are missing or can't be read.
    """
    _check_arguments(num_train, num_test, seed, test_fraction)
    unknown = sorted(set(bystanders_from) - set(classes))
    if unknown:
        raise ConfigError(f'--bystanders-from: {", ".join(unknown)} is not among the classes')
    root = Path(out_dir)
    check_new(root)
    sides = split_crops(find_crops(crop_dir, classes), test_fraction if num_test else 0, seed)
    counts = {'train': num_train, **({'test': num_test} if num_test else {})}
    _check_sides(dict(zip(counts, sides, strict=False)))
    settings = {
        'crops': Path(crop_dir).name,
        'classes': list(classes),
        'num_train': num_train,
        'num_test': num_test,
        'seed': seed,
        'test_fraction': test_fraction,
        'bystanders_from': list(bystanders_from),
        **scene_settings,
    }
    builders = {}
    with whole_or_nothing(root) as part:
        (part / 'images').mkdir()
        for number, (split, count) in enumerate(counts.items()):
            cells, bystanders, left_out = _cut_all(sides[number], bystanders_from)
            scene = ComposedScene(cells, bystanders, **scene_settings)
            builder = _builder(classes, split, cells, left_out, seed)
            for index in range(count):
                state = np.random.SeedSequence(seed, spawn_key=(number, index))
                drawn = scene.draw(state, index % len(classes))
                name = f'{split}_{index:06d}.jpg'
                _add_scene(builder, scene, drawn, part / 'images' / name)
                if progress is not None:
                    progress(index + 1 + number * num_train, num_train + num_test)
            (part / f'{split}.json').write_text(dump(builder.content()), encoding='utf-8')
            builders[split] = builder
        (part / 'settings.json').write_text(json.dumps(settings, indent=1), encoding='utf-8')
    return builders


def _check_arguments(num_train: int, num_test: int, seed: int, test_fraction: float) -> None:
    """Raise if a number is outside its range."""
    if num_train < 1 or num_test < 0 or seed < 0 or not 0 <= test_fraction < 1:
        raise ConfigError(
            'expected --num-train of at least 1, --num-test and --seed of at least 0, and '
            f'--test-fraction from 0 to 1, found {num_train}, {num_test}, {seed}, {test_fraction:g}'
        )


def _check_sides(sides: Mapping[str, Mapping[str, Sequence[Path]]]) -> None:
    """Raise if a class has no crop for one of the splits."""
    for split, side in sides.items():
        lacking = [name for name, paths in side.items() if not paths]
        if lacking:
            raise DatasetError(
                f'{", ".join(lacking)} has no crop left for the {split} scenes, as near copies of '
                'a crop stay on its side: add crops, change --test-fraction, or leave it out of '
                '--classes'
            )


def _builder(
    classes: Sequence[str],
    split: str,
    cells: Mapping[str, Sequence[Cell]],
    left_out: Counter[str],
    seed: int,
) -> CocoBuilder:
    """What collects the records of a split."""
    return CocoBuilder(
        classes,
        f'Scenes composed of crops, {split}',
        crops_used={name: len(group) for name, group in cells.items()},
        crops_left_out=dict(left_out),
        seed=seed,
    )


def _add_scene(builder: CocoBuilder, scene: ComposedScene, drawn: Scene, path: Path) -> None:
    """Write a scene, and add its record and boxes."""
    if not cv2.imwrite(str(path), drawn.image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
        raise OSError(f'{path.name} could not be written; check the free space')
    image = builder.add_image(path.name, scene.size, scene.size)
    for (x1, y1, x2, y2), label, source in zip(
        drawn.boxes.tolist(), drawn.labels.tolist(), drawn.sources, strict=True
    ):
        box = [x1, y1, x2 - x1, y2 - y1]
        builder.add_box(image, scene.classes[label], box, crop=source)


def _cut_all(
    crops: Mapping[str, Sequence[Path]], bystanders_from: Sequence[str]
) -> tuple[dict[str, list[Cell]], list[Bystander], Counter[str]]:
    """Cut the cells out of all crops; count those that can't be."""
    cells: dict[str, list[Cell]] = {name: [] for name in crops}
    bystanders: list[Bystander] = []
    left_out: Counter[str] = Counter()
    for name, paths in crops.items():
        for path in paths:
            source = f'{name}/{path.name}'
            picture = read_image(path)
            cell = cut_cell(picture, source)
            if isinstance(cell, str):
                left_out[cell] += 1
            else:
                cells[name].append(cell)
            if name in bystanders_from:
                bystanders += cut_bystanders(picture, source)
    return cells, bystanders, left_out
