"""Find anchors that fit the boxes of a set, by YOLOv2's dimension clusters.

Examples:
    ldwsccd anchors data/bccd/train.json --size 256
    ldwsccd anchors data/ccd/train.json --size 512 --num 9 --csv anchors.csv

K-means with the distance 1 - IoU. The widths and heights are pixels of the network's input, as
base_sizes of YOLOAnchorGenerator has them; a model of several levels takes the largest anchors on
its coarsest level.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add, whole = parser.add_argument, at_least(1)
    add('annotations', help='COCO json')
    add(
        '--size',
        nargs='+',
        type=whole,
        metavar='PX',
        help='side, or width and height, of the input (default: the images as they are)',
    )
    add('--keep-ratio', action='store_true', help='images keep their ratio, as in Resize')
    add('--num', type=whole, default=5, help='anchors to find (default: 5)')
    add('--seed', type=int, default=0, help='of the starts of k-means (default: 0)')
    add('--csv', type=Path, help='also write the anchors to this file')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check what goes together."""
    if args.size and len(args.size) > 2:
        parser.error('--size takes one number or two')
    if args.keep_ratio and not args.size:
        parser.error('--keep-ratio needs --size')


def main(args: argparse.Namespace) -> None:
    """Find anchors, and print them as a config has them."""
    from ldwsccd_mmdet.csv_table import write_csv
    from ldwsccd_mmdet.preparation.dimension_clusters import box_sizes, dimension_clusters

    size = (args.size[0], args.size[-1]) if args.size else None
    sizes = box_sizes(args.annotations, size, args.keep_ratio)
    found = dimension_clusters(sizes, args.num, args.seed)
    rows = [
        [f'{width:.1f}', f'{height:.1f}', f'{100 * share:.1f}']
        for (width, height), share in zip(found.anchors, found.shares, strict=True)
    ]
    print(f'{len(sizes)} boxes, {args.num} anchors, mean IoU {100 * found.mean_iou:.1f} %')
    for width, height, share in rows:
        print(f'  {width:>7} x {height:>7} px, nearest to {share:>5} % of the boxes')
    pairs = ', '.join(f'({width}, {height})' for width, height, _ in rows)
    print(f'base_sizes=[[{pairs}]]')
    if args.csv:
        write_csv(args.csv, [['width', 'height', 'share'], *rows])
