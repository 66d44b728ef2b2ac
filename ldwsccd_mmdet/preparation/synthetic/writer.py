# SPDX-License-Identifier: Apache-2.0
"""Writes a synthetic data set: pictures, COCO json of the truth and of the faulty labels."""

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...errors import ConfigError, check_argument
from .label_faults import LabelFaults
from .smear import CLASSES, SyntheticSmear

GENERATOR_VERSION = 3
"""Counts changes of the drawing: a set drawn by another version is not taken for the same."""

_SPLITS = {'train': 0, 'val': 1}
_FILES = ('train', 'train_clean', 'val', 'settings')


def write_synthetic_dataset(
    out_dir: str | os.PathLike[str],
    num_train: int,
    num_val: int,
    seed: int = 0,
    size: int | Sequence[int] = 256,
    classes: Sequence[str] = CLASSES,
    faults: LabelFaults | Mapping[str, float] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
    **smear_settings: float,
) -> dict[str, Path]:
    """Draws and writes a training and a validation set.

    ``out_dir`` gets ``images/``, ``train.json`` (with the faults asked for), ``train_clean.json``
    and ``val.json`` (the truth) and ``settings.json``. It appears only when all of it is there. A
    folder that holds a set with the same settings is taken as it is. Picture i is the same however
    many pictures are asked for; its first class is class i modulo the number of classes, so that
    small sets hold every class.

    Args:
        out_dir: Folder to make.
        num_train: Number of training pictures, at least 1.
        num_val: Number of validation pictures, at least 0.
        seed: Seed of the whole set, at least 0.
        size: Side of a square picture, or (height, width), pixels.
        classes: Subset of :data:`CLASSES`; category ids count from 1 in this order.
        faults: Faults of ``train.json``, as :class:`LabelFaults` or its keyword arguments.
        workers: Processes that draw. More than 1 needs an importable ``__main__``.
        progress: Called with (pictures done, pictures in all).
        **smear_settings: Further arguments of :class:`SyntheticSmear`, such as ``magnification``.

    Returns:
        Paths by name: ``root``, ``images``, ``train``, ``train_clean``, ``val``, ``settings``.

    Raises:
        ConfigError: An argument is out of its range, or the folder holds something else or a set
            with other settings.
    """
    _check_counts(
        num_train=(num_train, 1), num_val=(num_val, 0), seed=(seed, 0), workers=(workers, 1)
    )
    faults = _label_faults(faults)
    smear_arguments = _smear_arguments(size, classes, smear_settings)
    root = Path(out_dir)
    settings = dict(
        generator_version=GENERATOR_VERSION,
        num_train=int(num_train),
        num_val=int(num_val),
        seed=int(seed),
        smear=smear_arguments,
        faults=asdict(faults),
    )
    names = dict(images='images', **{key: f'{key}.json' for key in _FILES})
    paths = dict(root=root, **{key: root / name for key, name in names.items()})
    if _finished(paths['settings'], settings):
        return paths
    with whole_or_nothing(root) as part:
        (part / 'images').mkdir()
        job = partial(_draw_one, str(part / 'images'), seed)
        with _mapper(workers, smear_arguments) as run:
            truth = _draw_all(run, job, dict(train=num_train, val=num_val), progress)
        clean = {split: _coco(truth[split], classes, split) for split in truth}
        faulty = faults.apply(clean['train'], seed)
        faulty['info'] = {**faulty['info'], 'faults': asdict(faults)}
        for name, content in (
            ('train_clean', clean['train']),
            ('val', clean['val']),
            ('train', faulty),
            ('settings', settings),
        ):
            (part / paths[name].name).write_text(
                json.dumps(content, indent=1 if name == 'settings' else None)
            )
    return paths


def _check_counts(**counts: tuple[int, int]) -> None:
    """Check whole numbers, each with its least value."""
    for name, (value, least) in counts.items():
        right = not isinstance(value, bool) and int(value) == value and value >= least
        check_argument(right, name, f'a whole number of at least {least}', value)


def _label_faults(faults: LabelFaults | Mapping[str, float] | None) -> LabelFaults:
    """The faults, also from their keyword arguments."""
    if isinstance(faults, Mapping):
        known = set(LabelFaults.__dataclass_fields__)
        if unknown := sorted(set(faults) - known):
            raise ConfigError(f'faults: unknown key {unknown}; expected some of {sorted(known)}')
        return LabelFaults(**faults)
    return faults or LabelFaults()


def _smear_arguments(
    size: int | Sequence[int], classes: Sequence[str], smear_settings: Mapping[str, float]
) -> dict[str, Any]:
    """Arguments of the smears; names a bad one before anything is written."""
    sides = (size, size) if isinstance(size, (int, np.integer)) else tuple(size)
    if len(sides) != 2:
        raise ConfigError(f'size: expected a side or (height, width) in pixels, found {size!r}')
    arguments: dict[str, Any] = dict(
        height=sides[0], width=sides[1], classes=classes, **smear_settings
    )
    return SyntheticSmear(**arguments).settings


def _draw_all(
    run: Callable,
    job: Callable,
    counts: Mapping[str, int],
    progress: Callable[[int, int], None] | None,
) -> dict[str, list[tuple[dict, list]]]:
    """Draw and write all pictures; give the record and the boxes of each, by split."""
    tasks = [(split, index) for split, count in counts.items() for index in range(count)]
    truth: dict[str, list[tuple[dict, list]]] = {split: [] for split in counts}
    for done, (split, record, boxes) in enumerate(run(job, tasks), 1):
        truth[split].append((record, boxes))
        if progress is not None:
            progress(done, len(tasks))
    return truth


def _finished(settings_file: Path, settings: dict[str, Any]) -> bool:
    """Whether the folder already holds this set; an error where it holds anything else."""
    root = settings_file.parent
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    remedy = f'choose another folder, or delete {root} to draw the set anew'
    if not settings_file.is_file():
        raise ConfigError(
            'out_dir: expected a new or empty folder or a finished synthetic set, '
            f'found {root} without settings.json; {remedy}'
        )
    try:
        found = json.loads(settings_file.read_text())
    except ValueError:
        found = None
    if found == settings:
        return True
    keys = sorted(
        key for key in settings if not isinstance(found, dict) or found.get(key) != settings[key]
    )
    raise ConfigError(
        f'out_dir: {root} holds a synthetic set with other settings '
        f'({", ".join(keys)} differ, see {settings_file}); {remedy}'
    )


@contextmanager
def whole_or_nothing(root: Path) -> Iterator[Path]:
    """A folder beside ``root`` that becomes ``root`` when the block ends without an error."""
    root.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f'.{root.name}.part-', dir=root.parent))
    try:
        yield part
        part.chmod(0o755)  # mkdtemp makes it private
        if root.exists():
            root.rmdir()
        os.replace(part, root)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


_SMEAR: SyntheticSmear | None = None


def _start_worker(smear_arguments: dict[str, Any]) -> None:
    global _SMEAR
    cv2.setNumThreads(1)
    _SMEAR = SyntheticSmear(**smear_arguments)


@contextmanager
def _mapper(workers: int, smear_arguments: dict[str, Any]) -> Iterator[Callable]:
    """An ordered map over tasks, in this process or in several."""
    global _SMEAR
    if workers == 1:
        _SMEAR = SyntheticSmear(**smear_arguments)
        try:
            yield map
        finally:
            _SMEAR = None
        return
    # Unlike multiprocessing.Pool, the executor stops with an error where a worker cannot start.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(workers, context, _start_worker, (smear_arguments,)) as pool:
        try:
            yield partial(pool.map, chunksize=4)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _draw_one(image_dir: str, seed: int, task: tuple[str, int]) -> tuple[str, dict, list]:
    """Draws and writes one picture."""
    assert _SMEAR is not None
    split, index = task
    state = np.random.SeedSequence(seed, spawn_key=(_SPLITS[split], index))
    image, boxes, labels = _SMEAR.draw(state, first_class=index % len(_SMEAR.classes))
    name = f'{split}_{index:06d}.jpg'
    path = os.path.join(image_dir, name)
    if not cv2.imwrite(path, image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
        raise OSError(f'out_dir: could not write {path}; check the free space and the permissions')
    record = dict(
        id=index + 1,
        file_name=name,
        height=_SMEAR.height,
        width=_SMEAR.width,
        image_labels=[_SMEAR.classes[label] for label in np.unique(labels)],
        supervision='box',
    )
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    return split, record, list(zip(labels.tolist(), corners.tolist(), strict=True))


def _coco(drawn: list[tuple[dict, list]], classes: Sequence[str], split: str) -> dict[str, Any]:
    """The truth of one split in COCO form."""
    annotations: list[dict[str, Any]] = []
    for record, boxes in drawn:
        for label, (x, y, w, h) in boxes:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=record['id'],
                    category_id=label + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                )
            )
    return dict(
        info=dict(description=f'Synthetic Papanicolaou smears, {split}, drawn by ldwsccd_mmdet'),
        licenses=[],
        categories=[dict(id=i + 1, name=name) for i, name in enumerate(classes)],
        images=[record for record, _ in drawn],
        annotations=annotations,
    )
