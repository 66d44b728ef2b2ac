r"""Convert YOLO text files to COCO json.

Example:
    ldwsccd convert yolo --images mine/images/train --labels mine/labels/train \
        --names mine/data.yaml --out data/mine/train.json
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
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


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.preparation.converters import (
        check_new,
        dump,
        read_class_names,
        read_yolo,
        write_new,
    )

    check_new(args.out)
    builder, _ = read_yolo(args.images, args.labels, read_class_names(args.names), args.min_size)
    write_new(args.out, dump(builder.checked_content(str(args.labels))))
    print(f'{args.out}: {builder.summary()}')
