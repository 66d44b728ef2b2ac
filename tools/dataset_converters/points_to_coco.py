"""Convert a CSV of points and classes, as CRIC's, to COCO json with boxes of a fixed size.

Example:
    python tools/dataset_converters/points_to_coco.py cric/classifications.csv \
        --images cric/images --box-size 90 --out data/cric/all.json
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.preparation.converters import BETHESDA_CLASSES, read_points
from ldwsccd_mmdet.preparation.converters.cli import add_class_arguments, class_map, exit_code
from ldwsccd_mmdet.preparation.converters.coco_builder import check_new, dump, write_new
from ldwsccd_mmdet.preparation.converters.points import CRIC_COLUMNS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Convert points with classes to COCO json.')
    parser.add_argument('csv', type=Path, help='table with a header, one row a cell')
    parser.add_argument('--images', type=Path, required=True, help='folder of the images')
    parser.add_argument(
        '--box-size', type=float, required=True, help='side of the square box, px of the frame'
    )
    parser.add_argument('--out', type=Path, required=True, help='the json to write')
    parser.add_argument(
        '--columns',
        nargs=4,
        default=CRIC_COLUMNS,
        metavar=('FILE', 'CLASS', 'X', 'Y'),
        help=f'names of the columns (default: {" ".join(CRIC_COLUMNS)})',
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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    check_new(args.out)
    builder, _ = read_points(
        args.csv,
        args.images,
        args.box_size,
        class_map(args, BETHESDA_CLASSES),
        args.columns,
        args.frame and tuple(args.frame),
        args.skip_missing,
    )
    write_new(args.out, dump(builder.checked_content(str(args.csv))))
    print(f'{args.out}: {builder.summary()}; clipped {builder.info["boxes_clipped"]}')


if __name__ == '__main__':
    sys.exit(exit_code(main))
