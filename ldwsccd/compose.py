"""Compose scenes with exact boxes from crops of cells, one folder a class.

Example:
    ldwsccd compose data/ccd_crops --out data/composed --num-train 400 --num-test 100
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('crops', type=Path, help='folder with one folder of crops a class')
    add('--out', type=Path, required=True, help='folder to make')
    add('--num-train', type=int, default=400, help='training scenes (default: 400)')
    add('--num-test', type=int, default=100, help='test scenes (default: 100)')
    add('--test-fraction', type=float, default=0.25, help='share of test crops (default: 0.25)')
    add('--seed', type=int, default=0)
    add('--classes', nargs='+', metavar='NAME', help="(default: the paper's eleven)")
    add(
        '--bystanders-from',
        nargs='*',
        metavar='NAME',
        help='classes around whose cells debris and pieces of normal cells are taken (default: '
        'candida and actinomyces, if they are among the classes)',
    )
    add('--size', type=int, default=512, help='side of a scene, px (default: 512)')
    add('--mean-cells', type=float, default=6, help='cells in 512 x 512 px (default: 6)')
    add(
        '--scale',
        type=float,
        nargs=2,
        default=(0.8, 1.2),
        metavar=('LOW', 'HIGH'),
        help='factor on the size of a cell (default: 0.8 1.2)',
    )
    add('--stain', type=float, default=1.0, help='spread of the stain; 0 is none (default: 1)')
    add('--overlap', type=float, default=0.35, help='most of a cell under another (default: 0.35)')


def main(args: argparse.Namespace) -> None:
    """Compose, and say from what."""
    from rich.progress import Progress

    from ldwsccd_mmdet.preparation.composed import write_composed_dataset
    from ldwsccd_mmdet.preparation.converters import CCD_CLASSES

    classes = args.classes or CCD_CLASSES
    around = args.bystanders_from
    if around is None:
        around = [name for name in ('candida', 'actinomyces') if name in classes]
    start = time.perf_counter()
    with Progress(transient=True) as bar:
        task = bar.add_task('Composing', total=args.num_train + args.num_test)
        builders = write_composed_dataset(
            args.crops,
            args.out,
            classes,
            args.num_train,
            args.num_test,
            args.seed,
            args.test_fraction,
            around,
            lambda done, _: bar.update(task, completed=done),
            size=args.size,
            mean_cells=args.mean_cells,
            scale=tuple(args.scale),
            stain=args.stain,
            overlap=args.overlap,
        )
    for split, builder in builders.items():
        crops, left = builder.info['crops_used'], builder.info['crops_left_out']
        reasons = ''.join(f', left out {count} {why}' for why, count in left.items())
        print(f'{args.out / split}.json: {builder.summary()}')
        print(f'    from {sum(crops.values())} crops{reasons}')
    print(f'{time.perf_counter() - start:.0f} s')
