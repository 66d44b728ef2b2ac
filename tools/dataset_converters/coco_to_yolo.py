"""Convert COCO json to YOLO text files.

Example:
    python tools/dataset_converters/coco_to_yolo.py data/mine/train.json --out mine/labels/train
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.datasets.coco_json import load_coco
from ldwsccd_mmdet.datasets.files import path_inside
from ldwsccd_mmdet.preparation.converters import yolo_files
from ldwsccd_mmdet.preparation.converters.cli import exit_code
from ldwsccd_mmdet.preparation.converters.coco_builder import check_new, write_new


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert COCO json to YOLO text files.')
    parser.add_argument('annotations', type=Path, help='COCO json')
    parser.add_argument(
        '--out', type=Path, required=True, help='new folder for the text files and classes.txt'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_new(args.out)
    files, left_out = yolo_files(load_coco(args.annotations))
    paths = {path_inside(args.out, name): text for name, text in files.items()}
    for path, text in paths.items():
        write_new(path, text)
    boxes = sum(text.count('\n') for name, text in files.items() if name[-4:] == '.txt')
    boxes -= files['classes.txt'].count('\n')
    reasons = ''.join(f'; left out {count} boxes {why}' for why, count in left_out.most_common())
    print(f'{args.out}: {boxes} boxes{reasons}')


if __name__ == '__main__':
    sys.exit(exit_code(main))
