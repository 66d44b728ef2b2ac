"""From an annotated set to what trains on it: annotation files, and configs that name them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ..datasets.splits import split_images, subset
from ..engine.config_file import config_folder
from ..errors import ConfigError, DatasetError
from .checks.priors import fit_priors
from .converters.coco_builder import check_new, dump, write_new
from .exports import Export

__all__ = ['NewSet', 'make_new_set', 'splits_of']

#: Images that an epoch should see at least: 40 epochs are then about 1000 steps.
_EPOCH = 200
_ENOUGH = 0.95  # share of the boxes that priors match, from which a smaller input will do
_WEIGHTS = 'data/weights/mobilenet_v2_imagenet.pth'
#: Input, data set of the package whose pipeline has it, and channels of student and teacher.
_SIZES: dict[int, tuple[str, tuple[int, ...]]] = {
    256: ('small_detection', (128, 256, 128, 64)),
    512: ('cric_detection', (128, 256, 128, 64, 64)),
}

_HEAD = '''"""{title}

{command}
"""

_base_ = [
{bases}
]

'''
_DATA = """classes = {classes!r}
metainfo = dict({metainfo})
data = dict(data_root='', metainfo=metainfo)
train_dataloader = dict(
{train_set})
val_dataloader = test_dataloader = dict(
    dataset=dict(ann_file={val!r}, data_prefix=dict(img={val_images!r}), **data)
)
# the second measures the score of the best F1, which ldwsccd predict cuts by
val_evaluator = test_evaluator = [
    dict(type='CheckedCocoMetric', metric='bbox', classwise=True),
    dict(type='CytologyMetric'),
]
"""
_SET = """    dataset=dict(ann_file={train!r}, data_prefix=dict(img={train_images!r}), **data)
"""
_SMALL_SET = """    # few images: an epoch sees each {times} times, so that there are steps enough
    dataset=dict(
        _delete_=True,
        type='RepeatDataset',
        times={times},
        dataset=dict(
            _base_.train_dataloader.dataset,
            ann_file={train!r},
            data_prefix=dict(img={train_images!r}),
            **data,
        ),
    )
"""
_TEACHER = """
model = dict(
{backbone}    bbox_head=dict(num_classes=len(classes){priors}),
)
"""
_STUDENT = """
channels = dict(student_channels={student}, teacher_channels={teacher})
model = dict(
    bbox_head=dict(num_classes=len(classes){priors}),
    teacher=dict(config={config!r}, checkpoint={checkpoint!r}),
    distillation=dict(_base_.distillation, **channels),
    mil_head=dict(_base_.mil_head_narrow, num_classes=len(classes)),
    train_cfg=dict(proposal=dict(_base_.proposals, nms_pre=400, max_per_img=96)),
    test_cfg=dict(proposal=dict(_base_.proposals, nms_pre=400, max_per_img=100)),
)
"""


@dataclass(frozen=True)
class NewSet:
    """What was written.

    Attributes:
        train, val: Annotation files.
        teacher, student: Configs.
        notes: What to know, a line each.
    """

    train: Path
    val: Path
    teacher: Path
    student: Path
    notes: tuple[str, ...]


def splits_of(
    train: Export,
    val: Export | None,
    val_share: float = 0.2,
    folds: int = 0,
    seed: int = 0,
    group: str | None = None,
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Give training and validation content; split the former where there is no latter.

    Args:
        train: The annotated set.
        val: That of validation, or None.
        val_share: Share of the images for validation.
        folds: With 2 or more, as many pairs, each image in one validation.
        seed: Seed of the split.
        group: See :func:`~ldwsccd_mmdet.datasets.splits.split_images`.

    Returns:
        Pairs of COCO content.

    Raises:
        ConfigError: The settings do not fit.
        DatasetError: Validation has a class that training lacks.
    """
    if val is not None:
        if folds:
            raise ConfigError('--folds splits TRAIN: leave VAL out')
        foreign = sorted(set(val.classes) - set(train.classes))
        if foreign:
            raise DatasetError(
                f"'{val.source}' has classes that '{train.source}' lacks ({', '.join(foreign)}): "
                f'nothing can learn them; it has ({", ".join(train.classes)})'
            )
        return [(train.content, _with_categories(val.content, train.content['categories']))]
    if folds:
        if folds < 2:
            raise ConfigError(f'--folds: expected 2 or more, found {folds}')
        part = split_images(train.content, [1 / folds] * folds, seed, group)
        return [
            (subset(train.content, part != fold), subset(train.content, part == fold))
            for fold in range(folds)
        ]
    if not 0 < val_share < 1:
        raise ConfigError(f'--val-share: expected a part between 0 and 1, found {val_share:g}')
    part = split_images(train.content, [1 - val_share, val_share], seed, group)
    return [(subset(train.content, part == 0), subset(train.content, part == 1))]


def _with_categories(
    content: Mapping[str, Any], categories: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Give COCO content the categories of another, by name: exports list those that occur."""
    number = {category['name']: category['id'] for category in categories}
    of_id = {category['id']: number[category['name']] for category in content['categories']}
    annotations = [{**a, 'category_id': of_id[a['category_id']]} for a in content['annotations']]
    return {**content, 'categories': list(categories), 'annotations': annotations}


def make_new_set(
    name: str,
    contents: tuple[Mapping[str, Any], Mapping[str, Any]],
    exports: tuple[Export, Export],
    data: Path,
    configs: Path,
    mpp: float | None = None,
    size: int | None = None,
) -> NewSet:
    """Write annotation files and the configs of teacher and student.

    Args:
        name: Name of the set, in file names.
        contents: COCO content of training and validation.
        exports: Where each is from: their images stay where they lie.
        data: Folder for ``train.json`` and ``val.json``.
        configs: Folder for ``teacher_NAME.py`` and ``ldwsccd_NAME.py``.
        mpp: Micrometres a pixel of the images, if known; kept in checkpoints.
        size: Side of the network's input, 256 or 512; None: by how many boxes its priors match.

    Raises:
        ConfigError: The name is no file name, or a file is there already.
        DatasetError: There is no box.
    """
    if not re.fullmatch(r'[A-Za-z0-9][\w.-]*', name):
        raise ConfigError(f"--name: expected letters, digits, _ and -, found '{name}'")
    if size is not None and size not in _SIZES:
        raise ConfigError(f'--size: expected one of {", ".join(map(str, _SIZES))}, found {size}')
    files = [data / 'train.json', data / 'val.json']
    leaves = [configs / f'teacher_{name}.py', configs / f'ldwsccd_{name}.py']
    check_new(*files, *leaves)
    boxes, sizes = _boxes(contents[0], str(exports[0].source))
    size = size or _input_size(boxes, sizes)
    notes = [f'input of {size} px']
    placed = [_placed(c, export) for c, export in zip(contents, exports, strict=True)]
    texts = _leaves(
        name, exports[0].classes, placed, files, leaves, size, (boxes, sizes), mpp, notes
    )
    for file, (content, _) in zip(files, placed, strict=True):
        write_new(file, dump(content))
    for leaf, text in zip(leaves, texts, strict=True):
        write_new(leaf, text)
    train, val = files
    teacher, student = leaves
    return NewSet(train, val, teacher, student, tuple(notes))


def _placed(content: Mapping[str, Any], export: Export) -> tuple[dict[str, Any], str]:
    """Name each image by where it lies below one folder; return content and folder."""
    paths = {image['file_name']: export.paths[image['file_name']] for image in content['images']}
    folder = export.folder
    if folder is None:
        folder = Path(os.path.commonpath([path.parent.absolute() for path in paths.values()]))
    images = [
        {
            **image,
            'file_name': os.path.relpath(paths[image['file_name']], folder).replace(os.sep, '/'),
        }
        for image in content['images']
    ]
    return {**content, 'images': images}, f'{folder.as_posix().rstrip("/")}/'


def _boxes(content: Mapping[str, Any], source: str) -> tuple[np.ndarray, np.ndarray]:
    """Boxes x, y, w, h and the sizes of their images."""
    size_of = {image['id']: (image['width'], image['height']) for image in content['images']}
    rows = [a for a in content['annotations'] if not a.get('iscrowd') and min(a['bbox'][2:]) > 0]
    if not rows:
        raise DatasetError(f"'{source}' has no box to learn from: check the export")
    boxes = np.array([a['bbox'] for a in rows], float)
    return boxes, np.array([size_of[a['image_id']] for a in rows], float)


def _generator(model: str) -> dict[str, Any]:
    """Anchor generator of a model of the package."""
    config = Config.fromfile(config_folder() / '_base_' / 'models' / f'{model}.py')
    return config.model.bbox_head.anchor_generator.to_dict()


def _input_size(boxes: np.ndarray, sizes: np.ndarray) -> int:
    """The smaller input if its priors match enough of the boxes, else the better one."""
    matched = {
        side: fit_priors(boxes, sizes, _generator(f'ssd{side}_vgg11_narrow'), (side, side))[
            0
        ].matched
        for side in _SIZES
    }
    return next(
        (side for side, share in matched.items() if share >= _ENOUGH),
        max(matched, key=matched.__getitem__),
    )


def _priors(model: str, size: int, boxes: tuple[np.ndarray, np.ndarray], notes: list[str]) -> str:
    """Settings of priors that fit the boxes better than the model's own; empty where those do."""
    fit, _ = fit_priors(*boxes, _generator(model), (size, size))
    share, extra = fit.matched, ''
    if fit.suggested_sizes and fit.matched < 0.99:
        share = fit.suggested_matched
        low, high = fit.suggested_sizes[:-1], fit.suggested_sizes[1:]
        extra = (
            ',\n        anchor_generator=dict(\n            basesize_ratio_range=None,\n'
            f'            min_sizes={low},\n            max_sizes={high},\n        ),\n    '
        )
    notes.append(f'priors of {model} match {100 * share:.1f} % of the training boxes')
    if share < _ENOUGH:
        notes.append(
            'many boxes are too small or too large for this input: ldwsccd doctor says which'
        )
    return extra


def _leaves(
    name: str,
    classes: Sequence[str],
    placed: Sequence[tuple[dict[str, Any], str]],
    files: Sequence[Path],
    leaves: Sequence[Path],
    size: int,
    boxes: tuple[np.ndarray, np.ndarray],
    mpp: float | None,
    notes: list[str],
) -> tuple[str, str]:
    """Write the configs of teacher and student as text."""
    dataset, channels = _SIZES[size]
    data = _data_text(classes, placed, files, boxes[1], mpp)
    models = f'ssd{size}_mobilenetv2_fpn', f'ssd{size}_vgg11_narrow'
    schedules = 'schedule_small_pretrained', 'schedule_small'
    teacher_head, student_head = (
        _head_text(
            f'{what} on {name}, {len(classes)} classes; made by ldwsccd new.',
            leaf,
            (f'models/{model}', f'datasets/{dataset}', f'schedules/{schedule}', *more),
        )
        for what, leaf, model, schedule, more in zip(
            ('Teacher', 'LD-WSCCD'),
            leaves,
            models,
            schedules,
            (('default_runtime',), ('default_runtime', 'parts/ldwsccd')),
            strict=True,
        )
    )
    weights = ''
    if not Path(_WEIGHTS).is_file():
        address = 'open-mmlab://mmdet/mobilenet_v2'
        weights = f'    backbone=dict(init_cfg=dict(checkpoint={address!r})),\n'
    teacher = _TEACHER.format(backbone=weights, priors=_priors(models[0], size, boxes, notes))
    student = _STUDENT.format(
        student=channels,
        teacher=(96,) * len(channels),
        priors=_priors(models[1], size, boxes, notes),
        config=leaves[0].as_posix(),
        checkpoint=f'work_dirs/{leaves[0].stem}/epoch_40.pth',
    )
    return teacher_head + data + teacher, student_head + data + student


def _head_text(title: str, leaf: Path, bases: Sequence[str]) -> str:
    """Beginning of a config: what it is, how to train it, what it builds on."""
    return _HEAD.format(
        title=title,
        command=f'ldwsccd train {leaf.as_posix()} --amp',
        bases='\n'.join(f"    'ldwsccd_mmdet::_base_/{base}.py'," for base in bases),
    )


def _data_text(
    classes: Sequence[str],
    placed: Sequence[tuple[dict[str, Any], str]],
    files: Sequence[Path],
    sizes: np.ndarray,
    mpp: float | None,
) -> str:
    """Part of a config that names the data."""
    width, height = np.median(sizes, axis=0).astype(int).tolist()
    metainfo = f'classes=classes, field_size=({width}, {height})' + (
        f', mpp={mpp:g}' if mpp else ''
    )
    train = dict(train=files[0].as_posix(), train_images=placed[0][1])
    times = -(-_EPOCH // max(len(placed[0][0]['images']), 1))
    return _DATA.format(
        classes=tuple(classes),
        metainfo=metainfo,
        train_set=(_SMALL_SET if times > 1 else _SET).format(times=times, **train),
        val=files[1].as_posix(),
        val_images=placed[1][1],
    )
