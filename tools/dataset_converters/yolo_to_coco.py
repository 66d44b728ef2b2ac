"""Convert YOLO text files to COCO json.

Example:
    python tools/dataset_converters/yolo_to_coco.py --images mine/images/train \
        --labels mine/labels/train --names mine/data.yaml --out data/mine/train.json
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.preparation.converters import read_class_names, read_yolo
from ldwsccd_mmdet.preparation.converters.cli import exit_code
from ldwsccd_mmdet.preparation.converters.coco_builder import check_new, dump, write_new


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert YOLO text files to COCO json.')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument('--labels', type=Path, required=True, help='folder of the text files')
    parser.add_argument(
        '--names',
        type=Path,
        required=True,
        help='class names: a text file with one a line, or a YAML file with names: [...]',
    )
    parser.add_argument('--out', type=Path, required=True, help='the json to write')
    parser.add_argument('--min-size', type=float, default=1, help='least side of a box, px')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_new(args.out)
    builder, _ = read_yolo(args.images, args.labels, read_class_names(args.names), args.min_size)
    write_new(args.out, dump(builder.checked_content(str(args.labels))))
    print(f'{args.out}: {builder.summary()}')


if __name__ == '__main__':
    sys.exit(exit_code(main))
