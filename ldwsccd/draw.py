"""Draw a synthetic data set of Papanicolaou smears with exact boxes.

Example:
    ldwsccd draw --out data/synthetic --num-train 400 --num-val 80 --size 256 --missing 0.5
"""

from __future__ import annotations

import argparse
import time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('--out', required=True, help='folder to make')
    add('--num-train', type=int, default=400, help='training pictures (default: 400)')
    add('--num-val', type=int, default=80, help='validation pictures (default: 80)')
    add(
        '--size',
        type=int,
        nargs='+',
        default=[256],
        metavar='PX',
        help='side of a square picture, or height and width (default: 256)',
    )
    add('--seed', type=int, default=0)
    add(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='some of ascus, asch, lsil, hsil, scc, agc, trichomonas, candida, flora, herps, '
        'actinomyces (default: all)',
    )
    add(
        '--magnification',
        type=float,
        default=14.0,
        help='objective of the scan: 40 is 0.25 um per pixel (default: 14)',
    )
    for name, text in (
        ('crowding', 'on the number of labelled finds in a picture'),
        ('variation', 'on how far stain and focus differ between pictures'),
    ):
        add(f'--{name}', type=float, default=1.0, metavar='FACTOR', help=f'{text} (default: 1)')
    for name, text in (
        ('missing', 'of training boxes left out'),
        ('wrong-class', 'of training boxes with a wrong class'),
        ('clumps', 'of clumps of cells with one box around them'),
    ):
        add(f'--{name}', type=float, default=0.0, metavar='FRACTION', help=f'{text} (default: 0)')
    add(
        '--image-labels-only',
        type=float,
        nargs='?',
        const=1.0,
        default=0.0,
        metavar='FRACTION',
        help='of training pictures without boxes; alone: all of them',
    )
    add('--workers', type=int, default=1, help='processes that draw (default: 1)')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check how many numbers the size has."""
    if len(args.size) > 2:
        parser.error(f'--size: expected 1 or 2 numbers, found {len(args.size)}')


def main(args: argparse.Namespace) -> None:
    """Draw."""
    from rich.progress import Progress

    from ldwsccd_mmdet.preparation.synthetic import CLASSES, LabelFaults, write_synthetic_dataset

    size = args.size[0] if len(args.size) == 1 else args.size
    start = time.perf_counter()
    faults = LabelFaults(args.missing, args.wrong_class, args.clumps, args.image_labels_only)
    with Progress() as bar:
        task = bar.add_task('Drawing smears', total=args.num_train + args.num_val)
        paths = write_synthetic_dataset(
            args.out,
            args.num_train,
            args.num_val,
            args.seed,
            size,
            args.classes or CLASSES,
            faults,
            args.workers,
            lambda done, total: bar.update(task, completed=done),
            magnification=args.magnification,
            crowding=args.crowding,
            variation=args.variation,
        )
        bar.update(task, completed=args.num_train + args.num_val)
    print(
        f'{paths["root"]}: {args.num_train} + {args.num_val} pictures, '
        f'{time.perf_counter() - start:.1f} s'
    )
