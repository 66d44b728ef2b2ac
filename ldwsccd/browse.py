"""Draw what a config's data set hands to the model, augmentations included.

Example:
    ldwsccd browse ldwsccd_ssd512-narrow_cric.py -n 12
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_config_options, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('config', help='config file')
    parser.add_argument('--phase', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--out', type=Path, help='folder (default: work_dirs/browse/<config>)')
    parser.add_argument('-n', '--num', type=at_least(1), help='pictures (default: each image once)')
    parser.add_argument('--show', action='store_true', help='show them on screen, write none')
    parser.add_argument('--wait-time', type=float, default=0, help='seconds; 0 waits for a key')
    add_config_options(parser)


def main(args: argparse.Namespace) -> None:
    """Draw."""
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.own_data import follow_annotation_files
    from ldwsccd_mmdet.visualization.dataset_pictures import draw_dataset

    out = args.out or Path('work_dirs') / 'browse' / Path(args.config).stem
    config = load_config(args.config, args.cfg_options, (f'{args.phase}_dataloader',))
    follow_annotation_files(config)
    wait_time = args.wait_time if args.show else None
    number = draw_dataset(config, args.phase, None if args.show else out, args.num, wait_time)
    if not args.show:
        print(f'{out}: {number} pictures')
