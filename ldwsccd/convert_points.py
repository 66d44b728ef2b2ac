r"""Convert a CSV of points and classes, as CRIC's, to COCO json with boxes of a fixed size.

Example:
    ldwsccd convert points cric/classifications.csv --images cric/images --box-size 90 \
        --out data/cric/all.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_class_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('csv', type=Path, help='table with a header, one row a cell')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument(
        '--box-size', type=float, required=True, help='side of the square box, px of the frame'
    )
    parser.add_argument('--out', type=Path, required=True, help='the json to write')
    parser.add_argument(
        '--columns',
        nargs=4,
        metavar=('FILE', 'CLASS', 'X', 'Y'),
        help="names of the columns (default: CRIC's, image_filename bethesda_system nucleus_x "
        'nucleus_y)',
    )
    parser.add_argument(
        '--frame',
        type=float,
        nargs=2,
        metavar=('W', 'H'),
        help="size in which points and box are given (default: each image's own)",
    )
    parser.add_argument(
        '--skip-missing', action='store_true', help='leave out points of images that are not there'
    )
    add_class_arguments(parser, "default: CRIC's six")


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.preparation.converters import (
        BETHESDA_CLASSES,
        ClassMap,
        check_new,
        dump,
        read_points,
        write_new,
    )
    from ldwsccd_mmdet.preparation.converters.points import CRIC_COLUMNS

    check_new(args.out)
    builder, _ = read_points(
        args.csv,
        args.images,
        args.box_size,
        ClassMap.from_texts(args.classes or BETHESDA_CLASSES, args.rename),
        args.columns or CRIC_COLUMNS,
        args.frame and tuple(args.frame),
        args.skip_missing,
    )
    write_new(args.out, dump(builder.checked_content(str(args.csv))))
    print(f'{args.out}: {builder.summary()}; clipped {builder.info["boxes_clipped"]}')
