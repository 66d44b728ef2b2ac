"""Start from your own annotated images: two annotation files, and two configs that train on them.

Examples:
    ldwsccd new export/instances_default.json --name mine
    ldwsccd new annotations.xml --images photos/ --name mine --group '^([^_]+)_'
    ldwsccd new train.json val.json --name mine --mpp 0.25

TRAIN and VAL are COCO json, or what CVAT, Label Studio, Roboflow, labelme or QuPath exported, as it
lies on disk. Images stay where they are; they are found beside the file or one folder down. Without
VAL a part is split off: every class in both parts, the images of a patient or slide together if
--group says which they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ldwsccd_mmdet.preparation.new_set import NewSet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('train', type=Path, metavar='TRAIN', help='file, or exported folder')
    parser.add_argument('val', type=Path, nargs='?', metavar='VAL', help='the same for validation')
    parser.add_argument('--name', required=True, help='name of the set')
    parser.add_argument('--images', type=Path, metavar='DIR', help='folder of the images')
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help='for the annotation files (default: data/NAME)'
    )
    parser.add_argument(
        '--configs', type=Path, metavar='DIR', help='for the configs (default: configs/NAME)'
    )
    parser.add_argument(
        '--val-share', type=float, default=0.2, help='part split off without VAL (default: 0.2)'
    )
    parser.add_argument('--folds', type=int, default=0, help='K pairs for cross-validation')
    parser.add_argument('--seed', type=int, default=0, help='of the split (default: 0)')
    parser.add_argument(
        '--group',
        metavar='REGEX',
        help='what in a file name tells the patient or slide: its images stay together',
    )
    parser.add_argument('--mpp', type=float, help='micrometres a pixel of the images')
    parser.add_argument(
        '--size', type=int, choices=[256, 512], help="side of the network's input (default: fits)"
    )


def main(args: argparse.Namespace) -> None:
    """Write the files of a new set."""
    from ldwsccd_mmdet.preparation.exports import read_export
    from ldwsccd_mmdet.preparation.new_set import make_new_set, splits_of

    train = read_export(args.train, args.images)
    val = read_export(args.val, args.images) if args.val is not None else None
    data = args.data or Path('data') / args.name
    configs = args.configs or Path('configs') / args.name
    pairs = splits_of(train, val, args.val_share, args.folds, args.seed, args.group)
    print(f'{train.kind}: {len(train.paths)} images, classes {", ".join(train.classes)}')
    for note in (*train.notes, *(val.notes if val is not None else ())):
        print(f'note: {note}')
    sets = []
    for index, pair in enumerate(pairs):
        fold = f'fold{index}' if args.folds else ''
        made = make_new_set(
            '_'.join(filter(None, (args.name, fold))),
            pair,
            (train, val or train),
            data / fold,
            configs / fold,
            args.mpp,
            args.size,
        )
        sets.append(made)
        for line in made.notes:
            print(line)
        numbers = ' and '.join(
            f'{len(part["images"])} images with {len(part["annotations"])} boxes' for part in pair
        )
        print(f'{made.train} and {made.val}: {numbers}')
    say_next(sets)


def say_next(sets: Sequence[NewSet]) -> None:
    """Say the commands that come next."""
    print('Next:')
    for made in sets:
        name = made.student.stem.removeprefix('ldwsccd_')
        folder = Path('work_dirs') / f'compare_{name}' / made.student.stem
        print(f'  ldwsccd doctor {made.train} --other {made.val} --config {made.student}')
        print(f'  ldwsccd compare {made.student.parent} --out {folder.parent} --amp')
    print(f'  ldwsccd predict {folder}/seed_0/epoch_40.pth IMAGES --out work_dirs/found')
    print(f'  ldwsccd export {folder}/seed_0/epoch_40.pth --out {made.student.stem}.onnx')
