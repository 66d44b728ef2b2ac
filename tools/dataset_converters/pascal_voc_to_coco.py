"""Convert a Pascal VOC folder to COCO json.

Example:
    python tools/dataset_converters/pascal_voc_to_coco.py BCCD --out data/bccd
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.preparation.converters import (
    ClassMap,
    read_pascal_voc,
    read_voc_split,
    voc_classes,
)
from ldwsccd_mmdet.preparation.converters.cli import (
    add_class_arguments,
    add_image_mode,
    class_map,
    exit_code,
    write_set,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert a Pascal VOC folder to COCO json.')
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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    names = {split: read_voc_split(args.root, split) for split in args.splits}
    classes = class_map(args)
    if classes.classes is None:  # the same ids in every split
        found = voc_classes(args.root, [name for split in names.values() for name in split])
        classes = ClassMap(classes.check(found, str(args.root)), classes.renamed)
    splits = {
        split: read_pascal_voc(args.root, names[split], classes, args.one_based, args.min_size)
        for split in args.splits
    }
    write_set(args.out, splits, args.image_mode)


if __name__ == '__main__':
    sys.exit(exit_code(main))
