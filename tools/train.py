"""Train a detector: python tools/train.py CONFIG [--amp] [--resume] [--cfg-options KEY=VALUE]."""

import argparse
import sys

from ldwsccd_mmdet import cli


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a detector.')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--amp', action='store_true', help='mixed precision; on a CPU, bfloat16 and channels_last'
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
        help='go on from this checkpoint, or from the last one in the work dir',
    )
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    config = cli.load_config(args.config, args.cfg_options)
    cli.set_launcher(config, args.launcher)
    cli.set_work_dir(config, args.config, args.work_dir)
    cli.check_classes(config, ['train', 'val'] if config.get('val_cfg') else ['train'])
    if args.amp:
        cli.enable_amp(config)
    if args.auto_scale_lr:
        cli.enable_auto_scale_lr(config)
    if args.resume:
        config.resume = True
        config.load_from = cli.find_resume(config.work_dir, args.resume)
    elif config.get('load_from'):
        config.load_from = cli.find_checkpoint(config.load_from)
    cli.fetch_pretrained(config)
    cli.build_runner(config).train()


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
