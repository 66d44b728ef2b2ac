"""Make a copy of a COCO set with weaker labels: image labels alone, missing boxes, wrong classes.

Examples:
    python tools/dataset_converters/weaken.py train.json --out train_image.json --image-labels-only
    python tools/dataset_converters/weaken.py train.json --out train_mixed.json --mixed 0.8
    python tools/dataset_converters/weaken.py train.json --out train_half.json --drop 0.5 --seed 1
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.datasets.coco_json import load_coco
from ldwsccd_mmdet.preparation.converters.cli import exit_code
from ldwsccd_mmdet.preparation.converters.coco_builder import check_new, dump, write_new
from ldwsccd_mmdet.preparation.weak_labels import weaken


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make a copy of a COCO set with weaker labels.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('annotations', type=Path, help='COCO json with all boxes')
    parser.add_argument('--out', type=Path, required=True, help='the json to write')
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        '--image-labels-only',
        action='store_const',
        const=1.0,
        dest='fraction',
        help='take the boxes away from all images',
    )
    which.add_argument(
        '--mixed',
        type=float,
        metavar='FRACTION',
        dest='fraction',
        help='take the boxes away from this fraction of the images',
    )
    parser.add_argument(
        '--drop', type=float, default=0.0, metavar='FRACTION', help='leave out boxes'
    )
    parser.add_argument(
        '--wrong-class',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='give boxes a wrong class',
    )
    parser.add_argument(
        '--labels',
        choices=['boxes', 'record'],
        default='boxes',
        help="where image labels come from: the image's boxes, or its own image_label(s)",
    )
    parser.add_argument('--seed', type=int, default=0, help='which images and boxes')
    args = parser.parse_args(argv)
    if args.fraction is None:
        args.fraction = 0.0
        if not args.drop and not args.wrong_class:
            parser.error(
                'nothing to do: give --image-labels-only, --mixed, --drop or --wrong-class'
            )
    return args


def main(argv: 'list[str] | None' = None) -> None:
    args = parse_args(argv)
    check_new(args.out)
    weak = weaken(
        load_coco(args.annotations),
        image_labels_only=args.fraction,
        drop=args.drop,
        wrong_class=args.wrong_class,
        labels=args.labels,
        seed=args.seed,
    )
    weak['info']['weakened']['source'] = args.annotations.name
    write_new(args.out, dump(weak))
    counts = weak['info']['weakened']['counts']
    print(
        f'{args.out}: {counts["images"]} images, {counts["images_with_image_labels_alone"]} with '
        f'image labels alone, {counts["images_without_a_class"]} without a class; '
        f'{counts["boxes"]} of {counts["boxes_before"]} boxes, '
        f'{counts["boxes_of_a_wrong_class"]} of a wrong class'
    )


if __name__ == '__main__':
    sys.exit(exit_code(main))
