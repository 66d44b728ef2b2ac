"""Convert a Pascal VOC folder to COCO json.

Example:
    ldwsccd convert voc downloads/bccd --out data/bccd
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_class_arguments, add_image_mode


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('root', type=Path, help='folder with Annotations/, ImageSets/, JPEGImages/')
    parser.add_argument('--out', type=Path, required=True, help='folder for SPLIT.json and images/')
    parser.add_argument(
        '--splits',
        nargs='+',
        default=['train', 'val', 'test'],
        help='lists of ImageSets/Main (default: train val test)',
    )
    add_class_arguments(parser, 'default: the names that occur, sorted')
    parser.add_argument(
        '--one-based',
        action='store_true',
        help='corners are pixel numbers from 1, both in the box, as in VOC 2007 to 2012 '
        '(default: edges, as labelImg writes them)',
    )
    parser.add_argument('--min-size', type=float, default=1, help='least side of a box, px')
    add_image_mode(parser)


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.preparation.converters import (
        ClassMap,
        read_pascal_voc,
        read_voc_split,
        voc_classes,
        write_set,
    )

    names = {split: read_voc_split(args.root, split) for split in args.splits}
    classes = ClassMap.from_texts(args.classes, args.rename)
    if classes.classes is None:  # the same ids in every split
        found = voc_classes(args.root, [name for split in names.values() for name in split])
        classes = ClassMap(classes.check(found, str(args.root)), classes.renamed)
    splits = {
        split: read_pascal_voc(args.root, names[split], classes, args.one_based, args.min_size)
        for split in args.splits
    }
    for line in write_set(args.out, splits, args.image_mode):
        print(line)
