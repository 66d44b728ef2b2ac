"""Hold a part of a training set out, to choose checkpoints on: the test set is then looked at once.

Example:
    ldwsccd hold-out data/ccd/train.json --train data/ccd/train_part.json --val data/ccd/val.json

Both parts have each class by its share; images that share a patient or slide stay together with
--group. The same seed gives the same parts.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('annotations', type=Path, help='COCO json of the training set')
    add('--train', type=Path, required=True, help='the json to write for training')
    add('--val', type=Path, required=True, help='the json to write for the choice of checkpoints')
    add('--share', type=float, default=0.1, help='of the images that --val gets (default: 0.1)')
    add('--seed', type=int, default=0, help='which images (default: 0)')
    add('--group', metavar='REGEX', help='names the patient or slide in a file name')


def main(args: argparse.Namespace) -> None:
    """Write both parts."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.datasets.splits import split_images, subset
    from ldwsccd_mmdet.errors import check_argument
    from ldwsccd_mmdet.preparation.converters import check_new, dump, write_new

    check_argument(0 < args.share < 1, '--share', 'a part between 0 and 1', args.share)
    check_new(args.train, args.val)
    coco = load_coco(args.annotations)
    part = split_images(coco, [1 - args.share, args.share], args.seed, args.group)
    for number, path in enumerate((args.train, args.val)):
        content = subset(coco, part == number)
        write_new(path, dump(content))
        print(f'{path}: {len(content["images"])} images, {len(content["annotations"])} boxes')
