"""Check a data set before training on it.

Example:
    python tools/dataset_doctor.py data/bccd/train.json --other data/bccd/val.json \
        data/bccd/test.json --config configs/ldwsccd_ssd512.py --pictures work_dirs/doctor

Exit status: 0 nothing at or above --fail-on, 1 something, 2 the set can't be read.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from ldwsccd_mmdet.cli import load_config
from ldwsccd_mmdet.datasets.boxes import NO_NUMBERS, box_fault
from ldwsccd_mmdet.errors import ImageFileError
from ldwsccd_mmdet.image_files import read_image
from ldwsccd_mmdet.preparation.checks import LEVELS, Finding
from ldwsccd_mmdet.preparation.checks.examine import (
    Examination,
    Split,
    examine,
    read_split,
)
from ldwsccd_mmdet.preparation.converters.cli import exit_code
from ldwsccd_mmdet.visualization import draw_detections

STYLES = {'error': 'bold red', 'warning': 'yellow', 'note': 'cyan'}
MARGIN = 2.5  # a picture shows a box with this many times its size around it


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Check a data set before training on it.')
    parser.add_argument('annotations', help='COCO json of the set')
    parser.add_argument('--images', help='folder of the images (default: images/ beside the json)')
    parser.add_argument(
        '--other',
        nargs='+',
        default=[],
        metavar='JSON',
        help='its other splits: no image may be in two of them',
    )
    parser.add_argument('--config', help='also compare the boxes with the anchors of this config')
    parser.add_argument('--iou-thr', type=float, default=0.5, help='overlap of box and anchor')
    parser.add_argument('--annotations-only', action='store_true', help="don't open the images")
    parser.add_argument('--workers', type=int, default=2, help='threads that decode (default: 2)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write all findings here')
    parser.add_argument('--pictures', type=Path, metavar='DIR', help='draw the worst here')
    parser.add_argument('--num-pictures', type=int, default=4, help='pictures a finding')
    parser.add_argument(
        '--fail-on',
        choices=['error', 'warning', 'never'],
        default='error',
        help='least level that gives exit status 1 (default: error)',
    )
    return parser.parse_args()


def print_text(result: Examination, console: Console) -> None:
    """Print classes, findings and the fit of the priors."""
    coco = result.split.coco
    console.print(
        f'[bold]{escape(result.split.name)}[/]: {len(coco["images"])} images, '
        f'{len(coco["annotations"])} boxes'
    )
    table = Table('class')
    for heading in ('boxes', 'images', 'side (px) 5 %', 'median', '95 %'):
        table.add_column(heading, justify='right')
    for name, row in result.classes.items():
        sides = [f'{side:g}' for side in row['side']] or ['', '', '']
        table.add_row(escape(str(name)), str(row['boxes']), str(row['images']), *sides)
    console.print(table)
    for finding in result.findings:
        console.print(
            f'[{STYLES[finding.level]}]{finding.level}[/] {finding.check}: '
            f'{escape(finding.message)}',
            soft_wrap=True,
            highlight=False,
        )
        if finding.items:
            listed = '; '.join(describe(item) for item in finding.items[:5])
            more = ', ...' if len(finding.items) > 5 else ''
            console.print(f'    {escape(listed)}{more}', soft_wrap=True, highlight=False)
        if finding.remedy:
            console.print(f'    → {escape(finding.remedy)}', soft_wrap=True, highlight=False)
    if result.priors is not None:
        fit = result.priors
        shares = ', '.join(f'{size}: {100 * share:.1f} %' for size, share in fit.by_size.items())
        console.print(
            f'priors at {fit.input_size[0]} x {fit.input_size[1]} px match '
            f'{100 * fit.matched:.1f} % of the boxes at IoU {fit.iou_thr:g}; '
            f'by input size {shares}',
            soft_wrap=True,
            highlight=False,
        )
    counts = ', '.join(f'{result.count(level)} {level}s' for level in reversed(LEVELS))
    console.print(f'[bold]{counts}[/]')


def describe(item: dict[str, Any]) -> str:
    """Write one affected thing in a line."""
    if 'images' in item:
        return ' = '.join(item['images'][:4]) + (' = ...' if len(item['images']) > 4 else '')
    text = str(item['image'])
    if 'annotation' in item:
        text += f' #{item["annotation"]} {item["class"]} {item["bbox"]}'
    if 'in truth' in item:
        text += f' {item["in the file"]}, in truth {item["in truth"]}'
        text += f' ({item["why"]})' if item.get('why') else ''
    return text


def draw(finding: Finding, split: Split, others: list[Split], number: int, out: Path) -> int:
    """Draw the first few things a finding lists; returns how many pictures were written."""
    splits = {s.name: s for s in (split, *others)}
    sizes = {image['file_name']: image for image in split.coco['images']}
    done = 0
    for item in finding.items:
        if done == number:
            break
        if 'images' in item:
            sources = [name.split(': ', 1) for name in item['images'][:4]]
            pictures = [read(splits[s].path(file)) for s, file in sources]
            tiles = [cv2.resize(p, (400, 300)) for p in pictures if p is not None]
            picture = np.concatenate(tiles, 1) if tiles else None
        else:
            picture = read(split.path(item['image'])) if item.get('image') else None
            image = sizes.get(item.get('image'))
            bbox = item.get('bbox')
            if picture is not None and image is not None and bbox is not None:
                fault = box_fault(bbox, image['width'], image['height'])
                if fault in (NO_NUMBERS, 'of negative size'):
                    continue
                picture = draw_box(picture, bbox, f'{item["class"]} #{item["annotation"]}')
        if picture is None:
            continue
        done += 1
        cv2.imwrite(str(out / f'{finding.check}_{done}.jpg'), picture[..., ::-1])
    return done


def read(path: Path) -> 'np.ndarray | None':
    try:
        return np.ascontiguousarray(read_image(path)[..., ::-1])
    except ImageFileError:
        return None


def draw_box(picture: np.ndarray, bbox: list[float], label: str) -> np.ndarray:
    """Draw one box in its surroundings, large enough to be seen."""
    x, y, w, h = bbox
    height, width = picture.shape[:2]
    reach = max(60.0, MARGIN * max(w, h)) / 2
    cx, cy = np.clip(x + w / 2, 0, width), np.clip(y + h / 2, 0, height)
    x1, y1 = (int(max(0, v - reach - s / 2)) for v, s in ((cx, w), (cy, h)))
    x2, y2 = int(min(width, cx + reach + w / 2)), int(min(height, cy + reach + h / 2))
    window = np.ascontiguousarray(picture[y1:y2, x1:x2])
    box = np.array([[x - x1, y - y1, x + w - x1, y + h - y1]])
    scale = max(1, round(400 / max(window.shape[:2])))
    return draw_detections(window, box, np.array([0]), classes=[label], scale=scale)


def main() -> int:
    args = parse_args()
    console = Console()
    split = read_split(args.annotations, args.images)
    others = [read_split(path, args.images) for path in args.other]
    config = load_config(args.config) if args.config else None
    total = sum(len(s.coco['images']) for s in (split, *others))
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task('Reading images', total=total)
        result = examine(
            split,
            others,
            config,
            args.iou_thr,
            not args.annotations_only,
            args.workers,
            lambda: bar.advance(task),
        )
    print_text(result, console)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result.as_dict(), indent=1), encoding='utf-8')
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        drawn = sum(
            draw(finding, split, others, args.num_pictures, args.pictures)
            for finding in result.findings
        )
        console.print(f'{args.pictures}: {drawn} pictures', markup=False)
    if args.fail_on == 'never':
        return 0
    worst = LEVELS[LEVELS.index(args.fail_on) :]
    return int(any(finding.level in worst for finding in result.findings))


if __name__ == '__main__':
    sys.exit(exit_code(main))
