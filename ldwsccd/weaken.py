"""Make a copy of a COCO set with weaker labels: image labels alone, missing boxes, wrong classes.

Examples:
    ldwsccd weaken train.json --out train_image.json --image-labels-only
    ldwsccd weaken train.json --out train_mixed.json --mixed 0.8
    ldwsccd weaken train.json --out train_half.json --drop 0.5 --seed 1
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('annotations', type=Path, help='COCO json with all boxes')
    add('--out', type=Path, required=True, help='the json to write')
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
    add('--drop', type=float, default=0.0, metavar='FRACTION', help='leave out boxes (default: 0)')
    add(
        '--wrong-class',
        type=float,
        default=0.0,
        metavar='FRACTION',
        help='give boxes a wrong class (default: 0)',
    )
    add(
        '--labels',
        choices=['boxes', 'record'],
        default='boxes',
        help="where image labels come from: the image's boxes (default), or its own image_label(s)",
    )
    add('--seed', type=int, default=0, help='which images and boxes (default: 0)')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check that there is something to do."""
    if args.fraction is None:
        args.fraction = 0.0
        if not args.drop and not args.wrong_class:
            parser.error(
                'nothing to do: give --image-labels-only, --mixed, --drop or --wrong-class'
            )


def main(args: argparse.Namespace) -> None:
    """Write the copy, and say what is left in it."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.preparation.converters import check_new, dump, write_new
    from ldwsccd_mmdet.preparation.weak_labels import weaken

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
