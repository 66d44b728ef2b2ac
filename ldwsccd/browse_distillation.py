"""Draw what local distillation sees: mask, attention of teacher and student, feature error.

Examples:
    ldwsccd browse-distillation CONFIG --num 2
    ldwsccd browse-distillation CONFIG --checkpoint epoch_40.pth --levels 0 1

One PNG an image, one row a pair of levels. Images are read as for validation, without augmentation,
and the student is in evaluation mode. Without --checkpoint it is as initialised.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_config_options, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('config', help='config of a distilled training')
    parser.add_argument(
        '--checkpoint', metavar='STUDENT.pth', help='a trained student (default: as initialised)'
    )
    parser.add_argument(
        '--num', type=at_least(1), default=4, help='images, evenly spread (default: 4)'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/distillation_maps'))
    parser.add_argument(
        '--levels', nargs='+', type=int, help='pairs of levels, counted from 0 (default: all)'
    )
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--no-image', action='store_true', help='leave the photograph out, to show the maps alone'
    )
    parser.add_argument('--dpi', type=int, default=80, help='pixels an inch (default: 80)')
    parser.add_argument('--seed', type=int, default=0, help="of the student's initial weights")
    add_config_options(parser)


def main(args: argparse.Namespace) -> None:
    """Draw."""
    from mmdet.utils import register_all_modules
    from mmengine.logging import MMLogger
    from mmengine.runner import set_random_seed

    from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.distilled_student import build_distilled_student
    from ldwsccd_mmdet.visualization.distillation_pictures import draw_distillation

    from .config import check_classes

    register_all_modules(init_default_scope=True)
    config = load_config(args.config, args.cfg_options, need=('model',))
    check_classes(config, [args.split])
    MMLogger.get_instance('distillation').setLevel('WARNING')  # not how each weight began
    set_random_seed(args.seed)
    student, which = build_distilled_student(config, args.checkpoint)
    student.eval()
    drawn = draw_distillation(
        student,
        build_plain_dataset(config, args.split),
        args.out,
        which,
        number=args.num,
        levels=args.levels,
        with_image=not args.no_image,
        dpi=args.dpi,
    )
    for path in drawn:
        print(path)
