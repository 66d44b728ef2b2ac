"""Make a copy of a COCO set with weaker labels: image labels alone, missing boxes, wrong classes.

With --tiles each image is cut into tiles that have image labels of their own, the classes of the
cells whose centre lies in them: a class that is in every image is not in every tile.

Examples:
    ldwsccd weaken train.json --out train_image.json --image-labels-only
    ldwsccd weaken train.json --out train_mixed.json --mixed 0.8
    ldwsccd weaken train.json --out train_half.json --drop 0.5 --seed 1
    ldwsccd weaken data/bccd/train.json --out data/bccd_tiles --tiles 3
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('annotations', type=Path, help='COCO json with all boxes')
    add('--out', type=Path, required=True, help='the json to write; with --tiles the folder')
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
    add(
        '--tiles',
        type=at_least(2),
        metavar='N',
        help='cut each image into N x N tiles; unless --mixed says otherwise, without any box',
    )
    add('--images', type=Path, help='with --tiles: their folder (default: images/ beside the json)')
    add('--seed', type=int, default=0, help='which images and boxes (default: 0)')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check that there is something to do."""
    if args.images and not args.tiles:
        parser.error('--images: only --tiles opens the images; leave it out')
    if args.fraction is None:
        args.fraction = 1.0 if args.tiles else 0.0
        if not args.tiles and not args.drop and not args.wrong_class:
            parser.error(
                'nothing to do: give --image-labels-only, --mixed, --drop, --wrong-class or --tiles'
            )


def main(args: argparse.Namespace) -> None:
    """Write the copy, and say what is left in it."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.preparation.converters import check_new, dump, write_new
    from ldwsccd_mmdet.preparation.weak_labels import weaken

    check_new(args.out)
    coco = load_coco(args.annotations)
    settings = dict(
        image_labels_only=args.fraction,
        drop=args.drop,
        wrong_class=args.wrong_class,
        labels=args.labels,
        seed=args.seed,
    )
    if args.tiles:
        weak = _cut(args, coco, settings)
    else:
        weak = weaken(coco, **settings)
        weak['info']['weakened']['source'] = args.annotations.name
        write_new(args.out, dump(weak))
    counts = weak['info']['weakened']['counts']
    print(
        f'{args.out}: {counts["images"]} images, {counts["images_with_image_labels_alone"]} with '
        f'image labels alone, {counts["images_without_a_class"]} without a class; '
        f'{counts["boxes"]} of {counts["boxes_before"]} boxes, '
        f'{counts["boxes_of_a_wrong_class"]} of a wrong class'
    )
    if args.tiles:
        print(_shares(weak))


def _cut(
    args: argparse.Namespace, coco: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Write the tiles."""
    from rich.console import Console
    from rich.progress import Progress

    from ldwsccd_mmdet.preparation.image_tiles import write_tiles

    with Progress(console=Console(emoji=False, stderr=True), transient=True) as bar:
        task = bar.add_task('Cutting images', total=len(coco['images']))
        return write_tiles(
            coco,
            args.images or args.annotations.parent / 'images',
            args.out,
            args.annotations.stem,
            args.tiles,
            lambda done, _: bar.update(task, completed=done),
            **settings,
        )


def _shares(weak: dict[str, Any]) -> str:
    """Say in how many tiles each class is."""
    images = weak['images']
    shares = ', '.join(
        f'{category["name"]} '
        f'{100 * sum(category["name"] in i["image_labels"] for i in images) / len(images):.0f} %'
        for category in weak['categories']
    )
    return f'Share of the tiles with each class: {shares}'
