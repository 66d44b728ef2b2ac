"""Convert the Comparison Detector data, the paper's set, to this project's COCO json.

Example:
    python tools/dataset_converters/comparison_detector_to_coco.py \
        --train ccd/train.json --test ccd/test.json --images ccd/images --out data/ccd
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.errors import DatasetError
from ldwsccd_mmdet.preparation.converters import CCD_CLASSES, read_comparison_detector
from ldwsccd_mmdet.preparation.converters.cli import (
    add_class_arguments,
    add_image_mode,
    class_map,
    exit_code,
    write_set,
)
from ldwsccd_mmdet.preparation.converters.comparison_detector import SPLIT_SIZES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert the Comparison Detector data.')
    parser.add_argument('--train', type=Path, required=True, help='its train.json')
    parser.add_argument('--test', type=Path, required=True, help='its test.json')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument('--out', type=Path, required=True, help='folder for the set')
    add_class_arguments(parser, "default: the paper's eleven")
    parser.add_argument(
        '--min-size', type=float, default=2, help='least side of a box, px (default: 2)'
    )
    add_image_mode(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    classes = class_map(args, CCD_CLASSES)
    splits = {}
    for split in ('train', 'test'):
        builder = read_comparison_detector(
            getattr(args, split), args.images, classes, args.min_size
        )
        files = [image['file_name'] for image in builder.images]
        splits[split] = builder, {file: args.images / file for file in files}
    common = sorted(set(splits['train'][1]) & set(splits['test'][1]))
    if common:
        raise DatasetError(
            f'{len(common)} images are in train and in test ({", ".join(common[:10])}): take '
            'whole copies of the two files'
        )
    write_set(args.out, splits, args.image_mode)
    for split, size in SPLIT_SIZES.items():
        count = len(splits[split][0].images)
        if count != size:
            print(f'note: {split} has {count} images, the public split {size}')


if __name__ == '__main__':
    sys.exit(exit_code(main))
