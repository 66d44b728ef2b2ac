r"""Convert the Comparison Detector data, the paper's set, to this project's COCO json.

Example:
    ldwsccd convert ccd --train ccd/train.json --test ccd/test.json --images ccd/images \
        --out data/ccd
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_class_arguments, add_image_mode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('--train', type=Path, required=True, help='its train.json')
    parser.add_argument('--test', type=Path, required=True, help='its test.json')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument('--out', type=Path, required=True, help='folder for the set')
    add_class_arguments(parser, "default: the paper's eleven")
    parser.add_argument(
        '--min-size', type=float, default=2, help='least side of a box, px (default: 2)'
    )
    add_image_mode(parser)


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.preparation.converters import (
        CCD_CLASSES,
        ClassMap,
        read_comparison_splits,
        write_set,
    )
    from ldwsccd_mmdet.preparation.converters.comparison_detector import SPLIT_SIZES

    classes = ClassMap.from_texts(args.classes or CCD_CLASSES, args.rename)
    files = {'train': args.train, 'test': args.test}
    splits = read_comparison_splits(files, args.images, classes, args.min_size)
    for line in write_set(args.out, splits, args.image_mode):
        print(line)
    for split, size in SPLIT_SIZES.items():
        count = len(splits[split][0].images)
        if count != size:
            print(f'note: {split} has {count} images, the public split {size}')
