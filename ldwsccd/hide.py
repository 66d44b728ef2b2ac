"""Leave out some boxes of each class, to see later which of them a detector finds.

Example:
    ldwsccd hide train.json --out train_hidden.json
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('annotations', type=Path, help='COCO json with all boxes that there are')
    add('--out', type=Path, required=True, help='the json to write')
    add('--fraction', type=float, default=0.2, help='of the boxes that are hidden (default: 0.2)')
    add('--seed', type=int, default=0, help='which boxes (default: 0)')


def main(args: argparse.Namespace) -> None:
    """Write the boxes that are left."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.preparation.converters import check_new, dump, write_new
    from ldwsccd_mmdet.preparation.missing_boxes import hide_boxes

    check_new(args.out)
    coco = load_coco(args.annotations)
    left = hide_boxes(coco, args.fraction, args.seed)
    write_new(args.out, dump(left))
    print(f'{args.out}: {len(left["annotations"])} of {len(coco["annotations"])} boxes')
