"""AP50 of images looked at in tiles, against AP50 of the same images looked at whole.

    python benchmarks/tiled_accuracy.py work_dirs/bccd/ldwsccd/seed_*/epoch_20.pth \\
        --ann-file data/bccd/{val,test}.json --images data/bccd/images

writes results/tiled_accuracy.csv, a row for each data, checkpoint and overlap; other rows stay.

The images fit the network. Each is looked at whole, and then as the middle of a field twice as wide
and high, which goes on beyond the image as its mirror image, in tiles of the size of the image.
Borders of tiles run through its cells. Cells that the edge of the image cuts, which are whole in
the mirror, do not count in either.

With --fields the images are such fields, as scenes composed at twice the size are. The middle of
each is the image, and there are no seams of a mirror in the way:

    ldwsccd compose data/ccd_crops --out data/composed_fields --size 1024 --num-train 1
    python benchmarks/tiled_accuracy.py work_dirs/composed/ldwsccd/seed_*/epoch_20.pth --fields \\
        --ann-file data/composed_fields/test.json --images data/composed_fields/images
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmdet.utils import register_all_modules

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.apis import CellDetections, Tiling, detect_tiled
from ldwsccd_mmdet.apis.cell_inferencer import CellInferencer
from ldwsccd_mmdet.apis.slides import ImageField
from ldwsccd_mmdet.datasets.coco_json import index_truth, load_coco
from ldwsccd_mmdet.evaluation import Detections, evaluate_detections
from ldwsccd_mmdet.experiments.half_the_boxes import join_sets, merge_csv
from ldwsccd_mmdet.image_files import read_image

CSV = Path(__file__).resolve().parents[1] / 'results' / 'tiled_accuracy.csv'
AT_EDGE = 2  # pixels
WHOLE = 1.0  # stands for no tiles among the overlaps


def mirrored_field(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A field with the image (H, W, 3) in its middle, and where the image begins there (x, y)."""
    height, width = image.shape[:2]
    top, left = height // 2, width // 2
    around = (top, height - top, left, width - left)
    return cv2.copyMakeBorder(image, *around, cv2.BORDER_REFLECT), np.array([left, top])


def middle(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a field (H, W, 3), half as wide and high, and where it begins (x, y)."""
    height, width = field.shape[:2]
    top, left = height // 4, width // 4
    image = field[top : top + height // 2, left : left + width // 2]
    return np.ascontiguousarray(image), np.array([left, top])


def middle_truth(coco: dict[str, Any]) -> dict[str, Any]:
    """The annotations of the middles of fields: what lies there, cut at the edge."""
    images, rows, size = [], [], {}
    for image in coco['images']:
        width, height = image['width'] // 2, image['height'] // 2
        size[image['id']] = (image['width'] // 4, image['height'] // 4, width, height)
        images.append({**image, 'width': width, 'height': height})
    for row in coco['annotations']:
        left, top, width, height = size[row['image_id']]
        x, y = row['bbox'][0] - left, row['bbox'][1] - top
        right, bottom = min(x + row['bbox'][2], width), min(y + row['bbox'][3], height)
        x, y = max(x, 0), max(y, 0)
        if right > x and bottom > y:
            box = [x, y, right - x, bottom - y]
            rows.append({**row, 'bbox': box, 'area': box[2] * box[3]})
    return {**coco, 'images': images, 'annotations': rows}


def within(cells: CellDetections, corner: np.ndarray, size: Sequence[int]) -> Detections:
    """The cells of an image in a field, in its pixels."""
    boxes = cells.bboxes - np.tile(corner, 2)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((middle >= 0) & (middle < size)).all(1)
    boxes = boxes.clip(0, np.tile(size, 2))
    return Detections(boxes[inside], cells.scores[inside], cells.labels[inside])


def without_cut_cells(coco: dict[str, Any]) -> dict[str, Any]:
    """The annotations, with the cells at the edge of their image as crowds: they do not count."""
    size = {image['id']: (image['width'], image['height']) for image in coco['images']}
    rows = []
    for row in coco['annotations']:
        (x, y, width, height), (right, bottom) = row['bbox'], size[row['image_id']]
        at_edge = min(x, y, right - x - width, bottom - y - height) <= AT_EDGE
        rows.append({**row, 'iscrowd': int(at_edge or row.get('iscrowd', 0))})
    return {**coco, 'annotations': rows}


def look(
    detector: CellInferencer,
    image: np.ndarray,
    field: ImageField,
    corner: np.ndarray,
    overlap: float,
) -> Detections:
    """What is found in an image, looked at alone or in the field where it begins at ``corner``."""
    if overlap == WHOLE:
        cells = detector.detect([image])[0]
        return Detections(cells.bboxes, cells.scores, cells.labels)
    size = (image.shape[1], image.shape[0])
    return within(detect_tiled(detector, field, Tiling(size, overlap)), corner, size)


def compare(
    checkpoint: Path,
    coco: dict[str, Any],
    images: Path,
    overlaps: Sequence[float],
    are_fields: bool = False,
) -> Iterator[dict[str, Any]]:
    """The rows of a checkpoint, one for each overlap."""
    detector = CellInferencer(checkpoint)
    found: dict[float, dict[int, Detections]] = {overlap: {} for overlap in (WHOLE, *overlaps)}
    with tempfile.TemporaryDirectory() as folder:
        for record in coco['images']:
            image = read_image(images / record['file_name'])
            if are_fields:
                field, (image, corner) = image, middle(image)
            else:
                field, corner = mirrored_field(image)
            file = Path(folder) / 'field.png'
            cv2.imwrite(str(file), field)
            for overlap, of in found.items():
                of[record['id']] = look(detector, image, ImageField(file), corner, overlap)
    index = index_truth(coco, 'the annotations')
    ap = {
        overlap: 100 * evaluate_detections(index, of, detector.info.classes).mean_ap
        for overlap, of in found.items()
    }
    for overlap in overlaps:
        yield dict(
            surroundings='real' if are_fields else 'mirrored',
            images=len(coco['images']),
            cells=sum(not row['iscrowd'] for row in coco['annotations']),
            score_source=detector.score_source,
            overlap=overlap,
            AP50_whole=f'{ap[WHOLE]:.2f}',
            AP50_tiled=f'{ap[overlap]:.2f}',
            difference=f'{ap[overlap] - ap[WHOLE]:+.2f}',
        )


def name_of(checkpoint: Path) -> tuple[str, str]:
    """Model and seed by the folders, which are compare's or half-the-boxes'."""
    parts = checkpoint.resolve().parts[:-1]
    seeds = [part.removeprefix('seed_') for part in parts if part.startswith('seed_')]
    return [part for part in parts if not part.startswith('seed_')][-1], (seeds or [''])[-1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('checkpoints', nargs='+', type=Path, help='they hold their config')
    add('--ann-file', nargs='+', type=Path, required=True, help='COCO json, joined if several')
    add('--images', type=Path, required=True, help='folder of the images')
    add('--overlap', nargs='+', type=float, default=[0.2, 0.4], help='(default: %(default)s)')
    add('--fields', action='store_true', help='the images are fields: their middles count')
    add('--data', default='bccd', help='name of the data in the CSV (default: %(default)s)')
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    register_all_modules()
    coco = join_sets([load_coco(path) for path in args.ann_file])
    coco = without_cut_cells(middle_truth(coco) if args.fields else coco)
    rows = []
    for checkpoint in args.checkpoints:
        model, seed = name_of(checkpoint)
        for row in compare(checkpoint, coco, args.images, args.overlap, args.fields):
            rows.append(dict(data=args.data, model=model, seed=seed, **row))
            print(', '.join(f'{key} {value}' for key, value in rows[-1].items()), flush=True)
        merge_csv(args.csv, rows, list(rows[0]), ('data', 'model', 'seed', 'overlap'))


if __name__ == '__main__':
    main()
