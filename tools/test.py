"""Test a detector: python tools/test.py CONFIG CHECKPOINT [--out FILE.pkl] [--show-dir DIR]."""

import argparse
import sys

from mmdet.evaluation import DumpDetResults

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.errors import ConfigError


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a detector.')
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
    cli.add_common_arguments(parser)
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    if args.out is not None and not args.out.endswith('.pkl'):
        raise ConfigError(f"--out is '{args.out}', but it must end in .pkl: change its name")
    config = cli.load_config(args.config, args.cfg_options)
    cli.set_launcher(config, args.launcher)
    cli.set_work_dir(config, args.config, args.work_dir)
    cli.check_classes(config, ['test'])
    config.load_from = cli.find_checkpoint(args.checkpoint)
    cli.check_checkpoint_classes(config, config.load_from)
    config.resume = False
    if args.show or args.show_dir:
        cli.enable_visualization(config, args.show, args.show_dir, args.wait_time)
    if args.tta:
        cli.enable_tta(config)
    runner = cli.build_runner(config)
    if args.out is not None:
        runner.test_evaluator.metrics.append(DumpDetResults(out_file_path=args.out))
    runner.test()


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
