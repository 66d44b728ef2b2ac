# SPDX-License-Identifier: Apache-2.0
"""Draws a synthetic data set of Papanicolaou smears with exact boxes.

Example:
    python tools/dataset_converters/make_synthetic_smears.py --out data/synthetic --num-train 400 \
        --num-val 80 --size 256 --seed 0 --missing 0.5
"""

import argparse
import sys
import time

from rich.progress import Progress

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.preparation.synthetic import CLASSES, LabelFaults, write_synthetic_dataset


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', required=True, help='folder to make')
    parser.add_argument('--num-train', type=int, default=400, help='training pictures')
    parser.add_argument('--num-val', type=int, default=80, help='validation pictures')
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        default=[256],
        metavar='PX',
        help='side of a square picture, or height and width',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--classes',
        nargs='+',
        default=list(CLASSES),
        metavar='NAME',
        help='subset of: ' + ' '.join(CLASSES),
    )
    parser.add_argument(
        '--magnification',
        type=float,
        default=14.0,
        help='objective of the scan: 40 is 0.25 um per pixel (default: 14)',
    )
    parser.add_argument(
        '--crowding',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='on the number of labelled finds in a picture (default: 1)',
    )
    parser.add_argument(
        '--variation',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='on how far stain and focus differ between pictures (default: 1)',
    )
    parser.add_argument(
        '--missing',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='fraction of training boxes left out',
    )
    parser.add_argument(
        '--wrong-class',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='fraction of training boxes with a wrong class',
    )
    parser.add_argument(
        '--clumps',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='fraction of clumps of cells with one box around them',
    )
    parser.add_argument(
        '--image-labels-only',
        type=float,
        nargs='?',
        const=1.0,
        default=0.0,
        metavar='FRACTION',
        help='fraction of training pictures without boxes; alone: all of them',
    )
    parser.add_argument('--workers', type=int, default=1, help='processes that draw')
    args = parser.parse_args()
    if len(args.size) > 2:
        parser.error(f'--size: expected 1 or 2 numbers, found {len(args.size)}')
    return args


def main() -> int:
    args = parse_args()
    size = args.size[0] if len(args.size) == 1 else args.size
    start = time.perf_counter()
    try:
        faults = LabelFaults(args.missing, args.wrong_class, args.clumps, args.image_labels_only)
        with Progress() as bar:
            task = bar.add_task('Drawing smears', total=args.num_train + args.num_val)
            paths = write_synthetic_dataset(
                args.out,
                args.num_train,
                args.num_val,
                args.seed,
                size,
                args.classes,
                faults,
                args.workers,
                lambda done, total: bar.update(task, completed=done),
                magnification=args.magnification,
                crowding=args.crowding,
                variation=args.variation,
            )
            bar.update(task, completed=args.num_train + args.num_val)
    except ConfigError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'{paths["root"]}: {args.num_train} + {args.num_val} pictures, '
        f'{time.perf_counter() - start:.1f} s'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
