"""Test a detector.

Example:
    ldwsccd test ldwsccd_ssd512.py work_dirs/ldwsccd/epoch_120.pth --out predictions.pkl
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, mmdet's."""
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', metavar='FILE.pkl', help='keep the predictions in this file')
    parser.add_argument('--show', action='store_true', help='draw the predictions on screen')
    parser.add_argument(
        '--show-dir', help='draw them into this folder, within the work dir of this run'
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that --show waits (default: 2)'
    )
    parser.add_argument(
        '--tta', action='store_true', help='test-time augmentation (default: mirror images)'
    )
    add_run_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Set what the flags ask for, check it, and test."""
    from mmdet.evaluation import DumpDetResults

    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.find_checkpoint import find_checkpoint
    from ldwsccd_mmdet.errors import ConfigError

    from . import config as settings

    if args.out is not None and not args.out.endswith('.pkl'):
        raise ConfigError(f"--out is '{args.out}', but it must end in .pkl: change its name")
    config = load_config(args.config, args.cfg_options, need=('model',))
    settings.set_launcher(config, args.launcher)
    settings.set_work_dir(config, args.config, args.work_dir)
    settings.check_classes(config, ['test'])
    config.load_from = find_checkpoint(args.checkpoint)
    settings.check_checkpoint_classes(config, config.load_from)
    config.resume = False
    if args.show or args.show_dir:
        settings.enable_visualization(config, args.show, args.show_dir, args.wait_time)
    if args.tta:
        settings.enable_tta(config)
    runner = settings.build_runner(config)
    if args.out is not None:
        Path(args.out).parent.mkdir(parents=True, exist_ok=True)
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    runner.test()
