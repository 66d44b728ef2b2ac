"""Convert COCO json to YOLO text files.

Example:
    ldwsccd convert to-yolo data/mine/train.json --out mine/labels/train
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('annotations', type=Path, help='COCO json')
    parser.add_argument(
        '--out', type=Path, required=True, help='new folder for the text files and classes.txt'
    )


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.datasets.files import path_inside
    from ldwsccd_mmdet.preparation.converters import check_new, write_new, yolo_files
    from ldwsccd_mmdet.preparation.synthetic.writer import whole_or_nothing

    check_new(args.out)
    files, left_out = yolo_files(load_coco(args.annotations))
    for name in files:
        path_inside(args.out, name)  # before anything is written
    with whole_or_nothing(args.out) as part:
        for name, text in files.items():
            write_new(path_inside(part, name), text)
    boxes = sum(text.count('\n') for name, text in files.items() if name[-4:] == '.txt')
    boxes -= files['classes.txt'].count('\n')
    reasons = ''.join(f'; left out {count} boxes {why}' for why, count in left_out.most_common())
    print(f'{args.out}: {boxes} boxes{reasons}')
