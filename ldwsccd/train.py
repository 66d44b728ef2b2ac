"""Train a detector.

Example:
    ldwsccd train ldwsccd_ssd512.py --amp --work-dir work_dirs/ldwsccd

The config is a path, or the name of one that comes with the package.
"""

from __future__ import annotations

import argparse

from .arguments import add_run_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, mmdet's."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision; on a CPU the faster of bfloat16 and float32, channels_last',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the batch size (auto_scale_lr.base_batch_size)',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from this checkpoint, or from the newest one in the work dir that can be read',
    )
    parser.add_argument(
        '--new-schedule',
        action='store_true',
        help='with --resume: rates and schedules of the config, not those of the checkpoint',
    )
    add_run_arguments(parser)


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check what the flags mean together."""
    if args.new_schedule and not args.resume:
        parser.error(
            '--new-schedule: needs --resume; a new training has the schedule of its config'
        )


def main(args: argparse.Namespace) -> None:
    """Set what the flags ask for, check it, and train."""
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.find_checkpoint import find_checkpoint, find_resume

    from . import config as settings
    from .pretrained import fetch_pretrained
    from .watch import watched_runner, write_curves

    config = load_config(args.config, args.cfg_options, need=('model',))
    settings.set_launcher(config, args.launcher)
    settings.set_work_dir(config, args.config, args.work_dir)
    settings.check_classes(config, ['train', 'val'] if config.get('val_cfg') else ['train'])
    if args.amp:
        settings.enable_amp(config)
    if args.auto_scale_lr:
        settings.enable_auto_scale_lr(config)
    if args.resume:
        config.resume = True
        config.load_from = find_resume(config.work_dir, args.resume)
    elif config.get('load_from'):
        config.load_from = find_checkpoint(config.load_from)
    fetch_pretrained(config)
    runner = watched_runner(config)
    if args.new_schedule:
        settings.take_new_schedule(runner)
    runner.train()
    write_curves(runner)
