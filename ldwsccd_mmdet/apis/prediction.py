"""Predict on many images and slides: each result is kept, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..csv_table import write_rows
from ..datasets.files import image_header, reading_notes
from ..errors import DatasetError, ImageFileError, InputError
from ..regular_files import read_json
from ..visualization.draw_detections import draw_detections
from .cell_detections import CellDetections
from .cell_detector import CellDetector
from .result_files import (
    dump_json,
    to_coco,
    write_counts,
    write_csv,
    write_geojson,
    write_whole,
)
from .slides import Field, ImageField, Slide, is_slide, require_mpp
from .sources import Source
from .tiled_detection import Tiling, detect_tiled, needed_overlap

__all__ = ['Prediction', 'PredictionSettings', 'predict_images']

#: An image whose side is so many times the network's input gets a warning.
MUCH_LARGER = 3.0
#: So large a part of all cells, larger than what tiles share, gets a warning.
MANY_LARGER = 0.05
_RUN = 'predict.json'


@dataclass(frozen=True)
class PredictionSettings:
    """How images are predicted on; other settings mean another folder.

    Attributes:
        score_thr: Least score of a cell, in [0, 1].
        tiling: Tiles; None: images are seen whole, and slides are refused.
        mpp: Micrometres a pixel of the images; None: what their files say.
        pictures: Whether to draw pictures.
    """

    score_thr: float
    tiling: Tiling | None = None
    mpp: float | None = None
    pictures: bool = True


@dataclass
class Prediction:
    """What a run has done.

    Attributes:
        done: Images with results, those of earlier runs of this folder included.
        kept: How many of them are from earlier runs.
        failed: What was wrong, by the name of an image; those of other processes included.
        waiting: Images that other processes of this run have not finished.
        cells: Cells in all.
    """

    done: list[str] = field(default_factory=list)
    kept: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    waiting: int = 0
    cells: int = 0


def predict_images(
    detector: CellDetector,
    sources: Sequence[Source],
    out: Path,
    settings: PredictionSettings,
    ids: tuple[dict[str, int], dict[str, int]] | None = None,
    warn: Callable[[str], Any] = print,
    progress: Callable[[float, int, str], Any] = lambda done, total, name: None,
    rank: int = 0,
    world_size: int = 1,
) -> Prediction:
    """Predict on images and slides, and write what was found.

    In ``out``: ``results.json`` (COCO's results), ``images.json`` (ids, sizes, classes),
    ``cells.csv`` (a row a cell), ``counts.csv``, ``failed.csv``, ``geojson/`` (for QuPath) and
    ``pictures/``. ``cells/`` keeps the cells of each image: run again, only missing ones are
    predicted. An image that can't be read is written into ``failed.csv``; the others go on.

    Args:
        detector: The detector.
        sources: The images.
        out: Folder for the results; made if it is not there.
        settings: How.
        ids: COCO ids of images (by name) and of classes; None: numbered from 1.
        warn: Gets each warning.
        progress: Called before each image, and after each batch of its tiles, with the number done
            (parts of an image included), of all, and its name.
        rank: Which of ``world_size`` processes this is: it takes every ``world_size``-th image.
        world_size: How many processes share the images; the last to finish writes the results.

    Raises:
        InputError: The folder holds the results of another run, or can't be written; a slide
            without tiles or resolution; a tile smaller than the network's stride.
    """
    _check(detector, settings)
    mine = list(sources[rank::world_size])
    _check_slides(mine, settings)
    claim_folder(detector, out, settings)
    run = Prediction()
    needed: list[np.ndarray] = []
    _warn_of_images(detector, mine, settings, warn)
    for index, source in enumerate(mine):
        progress(index, len(mine), source.name)
        try:
            if _readable(_cells_of(out, source.name)):
                run.kept += 1
                continue

            def within(part: float, index: int = index, name: str = source.name) -> None:
                progress(index + part, len(mine), name)

            cells = _predict_one(detector, source, out, settings, within)
            if settings.tiling is not None:
                needs = needed_overlap(cells, detector.info, settings.tiling, cells.mpp)
                needed.append(needs.astype(np.float32))
        except ImageFileError as error:
            warn(f'{error}; the other images go on')
            _keep_failure(out, source.name, str(error))
    progress(len(mine), len(mine), '')
    _warn_of_overlap(needed, settings.tiling, warn)
    with _writing(out, 'where all results come together'):
        _gather(detector, sources, out, ids, run)
    return run


def _predict_one(
    detector: CellDetector,
    source: Source,
    out: Path,
    settings: PredictionSettings,
    progress: Callable[[float], Any],
) -> CellDetections:
    """Predict on one image, and write what was found in it."""
    cells, opened = _detect(detector, source, settings, progress)
    with _writing(out, f"at image '{source.name}'"):
        _write_one(out, source, cells, opened, settings)
        cells.save(_cells_of(out, source.name))
        _failure_of(out, source.name).unlink(missing_ok=True)
    return cells


def _cells_of(out: Path, name: str) -> Path:
    """Where the cells of an image are kept."""
    return out / 'cells' / f'{name}.npz'


def _failure_of(out: Path, name: str) -> Path:
    """Where the reason is kept why an image could not be read."""
    return out / 'cells' / f'{name}.failed'


def _keep_failure(out: Path, name: str, reason: str) -> None:
    """Keep the reason for all processes of the run."""
    with _writing(out, f"at image '{name}'"):
        write_whole(_failure_of(out, name), lambda file: file.write(reason))


@contextmanager
def _writing(out: Path, where: str) -> Iterator[None]:
    """Say in one line that the disk is full, or gone.

    Raises:
        InputError: A file can't be written.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"--out: '{out}' cannot be written ({error.strerror or error}) {where}: make room, "
            'and run the same command again to go on'
        ) from error


def _check(detector: CellDetector, settings: PredictionSettings) -> None:
    """Check what needs no image."""
    if not detector.info.classes:
        raise InputError(
            f"model '{detector.info.name}' has no classes: give one that was saved with them "
            '(mmengine checkpoints keep them as meta.dataset_meta)'
        )
    if settings.tiling is not None and min(settings.tiling.tile) < detector.info.stride:
        raise InputError(
            f'--tile: {settings.tiling.tile[0]}x{settings.tiling.tile[1]} px is smaller than the '
            f"network's stride of {detector.info.stride} px: give tiles of about the size of the "
            'training images'
        )


def _check_slides(sources: Sequence[Source], settings: PredictionSettings) -> None:
    """Check what slides need before the first is looked at: another setting is another run."""
    for source in sources:
        if not is_slide(source.path):
            continue
        if settings.tiling is None:
            raise InputError(
                f"'{source.path}' is a slide: it is looked at in tiles, add --tile auto"
            )
        if settings.mpp is None:
            with suppress(ImageFileError):  # it gets its line when it is its turn
                require_mpp(Slide(source.path), source.path, None)


def claim_folder(detector: CellDetector, out: Path, settings: PredictionSettings) -> None:
    """Make the folder of a run, or check that it is the same run's.

    Raises:
        InputError: It holds something else, or can't be written.
    """
    content = {'model': detector.info.digest, **asdict(settings)}
    content = json.loads(json.dumps(content))
    file = out / _RUN
    try:
        out.mkdir(parents=True, exist_ok=True)
        # listed first: another process of this run writes predict.json before anything else
        before = [path for path in out.iterdir() if path.suffix != '.part']
        if file.is_file():
            there = json.loads(file.read_text(encoding='utf-8'))
            other = [key for key in content if there.get(key) != content[key]]
            if other:
                raise InputError(
                    f"--out: '{out}' holds results of another run ({', '.join(other)}: there "
                    f'{there.get(other[0])!r}, now {content[other[0]]!r}): choose another folder, '
                    'or delete this one'
                )
        elif before:
            raise InputError(
                f"--out: '{out}' is not empty and not of this command: choose another folder"
            )
        else:
            write_whole(file, dump_json(content))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"--out: '{file}' is not readable: delete the folder") from error
    except OSError as error:
        raise InputError(
            f"--out: '{out}' cannot be written ({error.strerror or error}): choose another folder"
        ) from error


def _readable(kept: Path) -> bool:
    """Whether a result of an earlier run is there, whole."""
    if not kept.is_file():
        return False
    try:
        CellDetections.load(kept)
    except (OSError, ValueError, KeyError, EOFError):
        return False
    return True


def _warn_of_images(
    detector: CellDetector,
    sources: Sequence[Source],
    settings: PredictionSettings,
    warn: Callable[[str], Any],
) -> None:
    """Say once what is lost of images: they are squeezed, or hold more than is read of them."""
    size = detector.info.input_size if settings.tiling is None else None
    large = []
    notes: dict[str, list[str]] = {}
    for source in sources:
        if is_slide(source.path):
            continue
        try:
            header = image_header(source.path)
        except ImageFileError:  # it gets its line when it is its turn
            continue
        if size is not None and max(header.width / size[0], header.height / size[1]) > MUCH_LARGER:
            large.append(f'{source.name}, {header.width} x {header.height} px')
        for note in reading_notes(source.path, header):
            notes.setdefault(note, []).append(source.name)
    if size is not None and large:
        warn(
            f"{len(large)} images are much larger than the network's input of {size[0]} x "
            f'{size[1]} px ({large[0]}): cells shrink with them; --tile auto looks at them in parts'
        )
    for note, names in notes.items():
        warn(f'{len(names)} images are {note} ({names[0]})')


def _warn_of_overlap(
    needed: Sequence[np.ndarray], tiling: Tiling | None, warn: Callable[[str], Any]
) -> None:
    """Say so where many cells are larger than what tiles share, and what would be enough."""
    if tiling is None or not sum(map(len, needed)):
        return
    needs = np.concatenate(needed)
    larger = float((needs > tiling.overlap).mean())
    # a twentieth more than almost all cells need, up to half a tile
    enough = min(math.ceil(20 * float(np.quantile(needs, 0.95)) + 1) / 20, 0.5)
    if larger > MANY_LARGER and enough > tiling.overlap:
        warn(
            f'{100 * larger:.0f} % of the cells are larger than what tiles share, --overlap '
            f'{tiling.overlap:g}: on borders they are put together from parts, with boxes less '
            f'exact; --overlap {enough:g} lets a tile see almost all of them whole'
        )


def _detect(
    detector: CellDetector,
    source: Source,
    settings: PredictionSettings,
    progress: Callable[[float], Any],
) -> tuple[CellDetections, Field]:
    """Find the cells of one image or slide; give them and the image."""
    opened: Field
    if is_slide(source.path) and settings.tiling is not None:
        opened = Slide(source.path)
        mpp = require_mpp(opened, source.path, settings.mpp)
        cells = detect_tiled(detector, opened, settings.tiling, mpp, source.path, progress)
    else:
        opened = image = ImageField(source.path)
        mpp = (settings.mpp, settings.mpp) if settings.mpp else None
        if settings.tiling is not None:
            cells = detect_tiled(detector, image, settings.tiling, mpp, progress=progress)
        else:
            found = detector.detect([image.image])[0]
            cells = CellDetections(
                found.bboxes, found.scores, found.labels, found.classes, image.size, mpp
            )
    return cells.above(settings.score_thr), opened


def _write_one(
    out: Path, source: Source, cells: CellDetections, opened: Field, settings: PredictionSettings
) -> None:
    """Write what belongs to one image: GeoJSON and picture."""
    write_geojson(out / 'geojson' / f'{source.name}.geojson', cells, opened.origin)
    if not settings.pictures:
        return
    whole = isinstance(opened, ImageField)
    image = opened.image if isinstance(opened, ImageField) else opened.overview(2048)
    if image is None:
        return
    picture = draw_cells(image, cells, names=whole)
    file = out / 'pictures' / f'{source.name}.jpg'
    file.parent.mkdir(parents=True, exist_ok=True)
    data = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes()
    part = file.with_name(file.name + '.part')
    part.write_bytes(data)
    os.replace(part, file)


def draw_cells(image: np.ndarray, cells: CellDetections, names: bool = True) -> np.ndarray:
    """Draw cells on an image, which may be smaller than the one they were found in.

    Args:
        image: BGR.
        cells: The cells.
        names: Whether to write class and score, where they fit; else boxes alone.

    Returns:
        The picture, BGR.
    """
    boxes = cells.bboxes * (image.shape[1] / max(cells.size[0], 1))
    size = round(0.009 * max(image.shape[:2]))
    picture = draw_detections(
        np.ascontiguousarray(image[..., ::-1]),
        boxes,
        cells.labels,
        cells.scores,
        cells.classes,
        font_size=max(size, 13),
        names='fitting' if names else 'none',
    )
    return picture[..., ::-1]


def _gather(
    detector: CellDetector,
    sources: Sequence[Source],
    out: Path,
    ids: tuple[dict[str, int], dict[str, int]] | None,
    run: Prediction,
) -> None:
    """Write the files of all images, of those that are finished.

    The last of several processes sees all. Two that end together could overwrite the files of the
    one that saw more: each looks again after it has written.
    """
    names = [source.name for source in sources]
    classes = detector.info.classes
    image_ids, category_ids = ids or (
        {name: i for i, name in enumerate(names, start=1)},
        {name: i for i, name in enumerate(classes, start=1)},
    )
    category_of = [category_ids[name] for name in classes]
    found = _finished(out, names)
    while True:
        run.done, run.failed = found
        run.waiting = len(names) - len(run.done) - len(run.failed)
        absent = [name for name in run.done if name not in image_ids] if ids else []
        if absent:
            raise DatasetError(
                f"--ann-file: it has no image '{absent[0]}' ({len(absent)} are missing): give the "
                'annotation file of these images, or leave --ann-file out'
            )
        run.cells = _write_results(out, run.done, image_ids, category_of, classes)
        _write_failed(out, run)
        found = _finished(out, names)
        if found == (run.done, run.failed):
            return


def _finished(out: Path, names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Images that have results, and the reasons of those that could not be read."""
    done = [name for name in names if _cells_of(out, name).is_file()]
    failures = {name: _failure_of(out, name) for name in set(names).difference(done)}
    failed = {
        name: failures[name].read_text(encoding='utf-8')
        for name in names
        if name in failures and failures[name].is_file()
    }
    return done, failed


def _write_results(
    out: Path,
    names: Sequence[str],
    image_ids: Mapping[str, int],
    category_of: Sequence[int],
    classes: Sequence[str],
) -> int:
    """Write the files of all images, one image in memory at a time; returns the cells."""

    def all_cells() -> Iterator[tuple[str, CellDetections]]:
        for name in names:
            yield name, CellDetections.load(_cells_of(out, name))

    def results(file: Any) -> None:
        file.write('[')
        first = True
        for name, cells in all_cells():
            for row in to_coco(cells, image_ids[name], category_of):
                file.write(('' if first else ',\n') + json.dumps(row))
                first = False
        file.write(']\n')

    images = []
    total = 0
    for name, cells in all_cells():
        total += len(cells)
        width, height = cells.size
        images.append({'id': image_ids[name], 'file_name': name, 'width': width, 'height': height})
    categories = [{'id': i, 'name': name} for i, name in zip(category_of, classes, strict=True)]
    write_whole(out / 'results.json', results)
    write_whole(out / 'images.json', dump_json({'images': images, 'categories': categories}))
    write_csv(out / 'cells.csv', all_cells())
    write_counts(out / 'counts.csv', all_cells(), classes)
    return total


def _write_failed(out: Path, run: Prediction) -> None:
    """List the images that could not be read; no file where there is none."""
    file = out / 'failed.csv'
    if not run.failed:
        file.unlink(missing_ok=True)
        return
    write_whole(file, lambda text: write_rows(text, [('image', 'reason'), *run.failed.items()]))


def read_ids(ann_file: Path, classes: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """Read from an annotation file the ids that results must have to be measured with it.

    Not through :mod:`..datasets.coco_json`, which loads mmengine and torch: exported models need
    neither.

    Raises:
        DatasetError: It can't be read, or lacks a class of the model.
    """
    try:
        content = read_json(ann_file)
        images = {Path(image['file_name']).name: image['id'] for image in content['images']}
        images |= {image['file_name']: image['id'] for image in content['images']}
        categories = {category['name']: category['id'] for category in content['categories']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"--ann-file: '{ann_file}' cannot be read as COCO json ({error}): check the path"
        ) from error
    missing = [name for name in classes if name not in categories]
    if missing:
        raise DatasetError(
            f"--ann-file: '{ann_file}' lacks the classes {', '.join(missing)} of the model; it has "
            f'{", ".join(categories)}'
        )
    return images, categories


def digest_of(path: str | Path) -> str:
    """Hash of a file's content, the first 16 hex digits of its SHA-256."""
    hashed = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return hashed.hexdigest()[:16]
