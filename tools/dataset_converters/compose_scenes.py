"""Compose scenes with exact boxes from crops of cells, one folder a class.

Example:
    python tools/dataset_converters/compose_scenes.py data/ccd_crops --out data/composed \
        --num-train 400 --num-test 100
"""

import argparse
import sys
import time
from pathlib import Path

from rich.progress import Progress

from ldwsccd_mmdet.preparation.composed import write_composed_dataset
from ldwsccd_mmdet.preparation.converters import CCD_CLASSES
from ldwsccd_mmdet.preparation.converters.cli import exit_code


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Compose scenes from crops of cells.')
    parser.add_argument('crops', type=Path, help='folder with one folder of crops a class')
    parser.add_argument('--out', type=Path, required=True, help='folder to make')
    parser.add_argument('--num-train', type=int, default=400, help='training scenes')
    parser.add_argument('--num-test', type=int, default=100, help='test scenes')
    parser.add_argument('--test-fraction', type=float, default=0.25, help='share of test crops')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--classes', nargs='+', default=list(CCD_CLASSES), metavar='NAME')
    parser.add_argument(
        '--bystanders-from',
        nargs='*',
        metavar='NAME',
        help='classes around whose cells debris and pieces of normal cells are taken (default: '
        'candida and actinomyces, if they are among the classes)',
    )
    parser.add_argument('--size', type=int, default=512, help='side of a scene, px (default: 512)')
    parser.add_argument('--mean-cells', type=float, default=6, help='cells in 512 x 512 px')
    parser.add_argument(
        '--scale',
        type=float,
        nargs=2,
        default=(0.8, 1.2),
        metavar=('LOW', 'HIGH'),
        help='factor on the size of a cell (default: 0.8 1.2)',
    )
    parser.add_argument('--stain', type=float, default=1.0, help='spread of the stain; 0 is none')
    parser.add_argument('--overlap', type=float, default=0.35, help='most of a cell under another')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    around = args.bystanders_from
    if around is None:
        around = [name for name in ('candida', 'actinomyces') if name in args.classes]
    start = time.perf_counter()
    with Progress(transient=True) as bar:
        task = bar.add_task('Composing', total=args.num_train + args.num_test)
        builders = write_composed_dataset(
            args.crops,
            args.out,
            args.classes,
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


if __name__ == '__main__':
    sys.exit(exit_code(main))
