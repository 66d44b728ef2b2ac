"""Images cut into tiles with labels of their own, so that some of them lack a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..datasets.bag_audit import teaches_by_image_labels
from ..datasets.files import find_images
from ..errors import ConfigError, DatasetError, check_argument
from ..image_files import read_image
from .converters.coco_builder import check_new, dump
from .synthetic.writer import whole_or_nothing
from .weak_labels import weaken

__all__ = ['MOST_TILES', 'cut_tiles', 'write_tiles']

MOST_TILES = 16
"""Tiles along a side, at most."""
_QUALITY = 95  # of JPEG
_LOSSY = {'.jpg', '.jpeg', '.webp'}


def cut_tiles(coco: Mapping[str, Any], tiles: int) -> dict[str, Any]:
    r"""Cut each image of a set into ``tiles`` x ``tiles`` parts; no picture is opened.

    A cell belongs to the one tile in which its centre lies:

    .. math::
        x_i \le x + w / 2 < x_{i + 1}, \qquad x_i = \mathrm{round}(i W / n)

    and the same along y, for n tiles along the sides W and H, in pixels of the image file. So no
    cell is counted twice, and at least a quarter of its box is in its tile, with the nucleus that
    tells its class. With all tiles that a box touches, a sliver at the rim would be a label that
    nothing in the tile bears out; asking for the whole box, cells on a cut would be in no tile. The
    price of this rule: a tile shows parts of cells of its neighbours without their class.

    Boxes are clipped to their tile. A crowd has no one centre: it is in every tile that it
    overlaps.

    Args:
        coco: Annotations in COCO form, sizes of the images included; not changed.
        tiles: n, from 2 to 16.

    Returns:
        A set whose images are the tiles, row by row; each record names the image that it was cut
        from, and where: ``tile=dict(of=file_name, x=..., y=...)``, x and y of its corner in pixels
        of that image.

    Raises:
        ConfigError: ``tiles`` is outside its range.
        DatasetError: An image has fewer pixels along a side than there are tiles, or has image
            labels and no box: which of its tiles they are of is not known.
    """
    whole = isinstance(tiles, int) and not isinstance(tiles, bool)
    expected = f'a whole number from 2 to {MOST_TILES}'
    check_argument(whole and 2 <= tiles <= MOST_TILES, '--tiles', expected, tiles)
    by_image: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for annotation in coco['annotations']:
        by_image[annotation['image_id']].append(annotation)
    _refuse_unknown_places(coco, by_image)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, record in enumerate(coco['images']):
        edges = _edges(record, tiles)
        first = len(images) + 1
        images += _tile_records(record, edges, number, first)
        for annotation in by_image[record['id']]:
            for row, column, box in _places(annotation, edges):
                annotations.append(
                    {
                        **annotation,
                        'id': len(annotations) + 1,
                        'image_id': first + row * tiles + column,
                        'bbox': box,
                        'area': box[2] * box[3],
                    }
                )
    return {**coco, 'images': images, 'annotations': annotations}


def _refuse_unknown_places(
    coco: Mapping[str, Any], by_image: Mapping[Any, list[dict[str, Any]]]
) -> None:
    """Raise if there are images of which only the labels are known."""
    bare = [
        record['file_name']
        for record in coco['images']
        if teaches_by_image_labels(
            {
                **record,
                'image_labels': record.get('image_labels', record.get('image_label')),
                'instances': [
                    {'ignore_flag': box.get('iscrowd', 0)} for box in by_image.get(record['id'], ())
                ],
            }
        )
    ]
    if bare:
        raise DatasetError(
            f'{len(bare)} images have image labels and no box (first {bare[0]}), so that the '
            'labels of their tiles are not known; start from the set with all boxes, or take them '
            'out'
        )


def _edges(record: Mapping[str, Any], tiles: int) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the tiles of an image along x and y, each (tiles + 1,), pixels."""
    width, height = int(record['width']), int(record['height'])
    if min(width, height) < tiles:
        raise DatasetError(
            f"image '{record['file_name']}' has {width} x {height} px, fewer than {tiles} along a "
            'side: ask for fewer tiles, or take it out of the annotation file'
        )
    steps = np.arange(tiles + 1) / tiles
    return (steps * width).round().astype(int), (steps * height).round().astype(int)


def _tile_records(
    record: Mapping[str, Any], edges: tuple[np.ndarray, np.ndarray], number: int, first: int
) -> list[dict[str, Any]]:
    """Records of the tiles of an image, row by row."""
    lossy = Path(record['file_name']).suffix.lower() in _LOSSY
    columns, rows = (list(pairwise(edge.tolist())) for edge in edges)
    return [
        {
            'id': first + row * len(columns) + column,
            'file_name': f'{number:06d}_{row}_{column}.{"jpg" if lossy else "png"}',
            'width': x2 - x1,
            'height': y2 - y1,
            'tile': {'of': record['file_name'], 'x': x1, 'y': y1},
        }
        for row, (y1, y2) in enumerate(rows)
        for column, (x1, x2) in enumerate(columns)
    ]


def _places(
    annotation: Mapping[str, Any], edges: tuple[np.ndarray, np.ndarray]
) -> Iterator[tuple[int, int, list[float]]]:
    """Row, column and box (x, y, w, h in pixels of the tile) of each tile that a box is in."""
    x, y, w, h = annotation['bbox']
    spans = []
    for low, side, edge in ((x, w, edges[0]), (y, h, edges[1])):
        points = [low, low + side] if annotation.get('iscrowd') else [low + side / 2]
        index = (np.searchsorted(edge, points, side='right') - 1).clip(0, len(edge) - 2).tolist()
        spans.append(
            [
                (i, *_clipped(low, side, float(edge[i]), float(edge[i + 1])))
                for i in range(index[0], index[-1] + 1)
            ]
        )
    for row, y1, height in spans[1]:
        for column, x1, width in spans[0]:
            if width > 0 and height > 0:
                yield row, column, [x1, y1, width, height]


def _clipped(low: float, side: float, first: float, last: float) -> tuple[float, float]:
    """Start and length of a stretch within a tile, counted from the tile's edge."""
    start, end = max(low, first), min(low + side, last)
    return start - first, end - start


def write_tiles(
    coco: Mapping[str, Any],
    image_dir: Path,
    out: Path,
    name: str,
    tiles: int,
    progress: Callable[[int, int], None] | None = None,
    **weak: Any,
) -> dict[str, Any]:
    """Write a set of tiles with weaker labels.

    ``out`` gets ``images/``, ``<name>.json`` with the weaker labels, and ``<name>_boxes.json`` with
    all boxes of the tiles, to measure against; it appears only when all of it is there. Tiles of a
    JPEG are JPEG of quality 95, others PNG; pictures are turned as EXIF says, as in training.

    Args:
        coco: Annotations in COCO form; not changed.
        image_dir: Folder of its images.
        out: Folder to make.
        name: Of the json, without ``.json``.
        tiles: Tiles along each side, see :func:`cut_tiles`.
        progress: Called with (images done, images in all).
        **weak: Arguments of :func:`weaken`.

    Returns:
        What is in ``<name>.json``.

    Raises:
        ConfigError: An argument is outside its range, or ``out`` is there.
        DatasetError: Images are missing, or not of the size of their record; or see
            :func:`cut_tiles` and :func:`weaken`.
        ImageFileError: An image can't be read.
    """
    if weak.get('labels', 'boxes') != 'boxes':
        raise ConfigError(
            '--tiles: expected --labels boxes, since the label of a whole image does not say in '
            f'which tile its cells are, found {weak["labels"]!r}'
        )
    check_new(out)
    cut = cut_tiles(coco, tiles)
    weaker = weaken(cut, **weak)
    weaker['info']['weakened'].update(tiles=tiles, source=f'{name}.json')
    found = find_images(image_dir, [record['file_name'] for record in coco['images']])
    found.require(image_dir, f'{name}.json', 'name their folder with --images')
    with whole_or_nothing(out) as part:
        (part / 'images').mkdir()
        per_image = tiles * tiles
        for number, record in enumerate(coco['images']):
            records = cut['images'][number * per_image : (number + 1) * per_image]
            _write_pictures(found.paths[record['file_name']], record, records, part / 'images')
            if progress is not None:
                progress(number + 1, len(coco['images']))
        for file, content in ((f'{name}.json', weaker), (f'{name}_boxes.json', cut)):
            (part / file).write_text(dump(content), encoding='utf-8')
    return weaker


def _write_pictures(
    path: Path, record: Mapping[str, Any], tiles: list[dict[str, Any]], folder: Path
) -> None:
    """Write the tiles of a picture."""
    picture = read_image(path)
    size = picture.shape[1], picture.shape[0]
    if size != (record['width'], record['height']):
        raise DatasetError(
            f"image '{path}' has {size[0]} x {size[1]} px, but its record {record['width']} x "
            f'{record["height"]}: its boxes would be in wrong tiles; ldwsccd doctor says more'
        )
    for tile in tiles:
        x, y = tile['tile']['x'], tile['tile']['y']
        part = picture[y : y + tile['height'], x : x + tile['width']]
        options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if tile['file_name'].endswith('jpg') else []
        if not cv2.imwrite(str(folder / tile['file_name']), part, options):
            raise OSError(f'{tile["file_name"]} could not be written; check the free space')
