"""Run an ablation: train a teacher and several configs with several seeds, test, and report.

Examples:
    ldwsccd compare configs/ldwsccd/*_cric.py --seeds 0 1 2 --amp
    ldwsccd compare ssd256-narrow_bccd.py ldwsccd_ssd256-narrow_bccd.py --amp
    ldwsccd compare ssd256-narrow_bccd.py ldwsccd_ssd256-narrow_bccd.py --amp --rounds 1
    ldwsccd compare configs/ldwsccd/*_cric.py --slurm partition=gpu gpus_per_node=1 time=600

Run again, it takes up what is done: finished runs are kept, an interrupted training goes on from
its last epoch, and changed settings repeat only what depends on them. Ctrl-C at any time.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from .arguments import add_config_options, add_job_arguments, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('configs', nargs='+', help='config files, or folders of them; their teacher is found')
    add('--seeds', type=int, nargs='+', default=[0], help='of the trainings (default: 0)')
    add('--out', metavar='DIR', help='(default: work_dirs/compare_<name of the folder>)')
    add('--amp', action='store_true', help='mixed precision, as in ldwsccd train')
    add('--epochs', type=int, help='length of all trainings (default: as in their configs)')
    add(
        '--rounds',
        type=at_least(1),
        help='how often cells without a box are looked for, first by the teacher, then by a '
        'student; the models of the method learn these too (default: never, and boxes are all '
        'there is)',
    )
    add('--report', default='', metavar='FLAGS', help="flags of ldwsccd report, in one '...'")
    add_job_arguments(parser)
    add_config_options(parser, 'settings to override in all configs')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check the numbers, and name the folder."""
    if any(seed < 0 for seed in args.seeds) or len(set(args.seeds)) < len(args.seeds):
        parser.error('--seeds: expected numbers of 0 or more, each once')
    if args.epochs is not None and args.epochs < 1:
        parser.error('--epochs: expected 1 or more')
    if args.out is None:
        first = Path(args.configs[0])
        name = first.name if first.is_dir() else first.parent.name or first.stem
        args.out = f'work_dirs/compare_{name}'


def main(args: argparse.Namespace, console: Any = None) -> int:
    """Run the comparison; returns the exit code."""
    from rich.console import Console

    from ldwsccd_mmdet.experiments.comparison import Comparison, find_models
    from ldwsccd_mmdet.experiments.mined_comparison import MinedComparison
    from ldwsccd_mmdet.experiments.stage_jobs import JobSettings, run_stages_as
    from ldwsccd_mmdet.experiments.stages import claim, stopped_by_signals

    console = console or Console(emoji=False)
    out = Path(args.out).resolve()
    with stopped_by_signals(), claim(out, 'comparison'):
        models = find_models(args.configs, args.cfg_options, args.epochs)
        flags = shlex.split(args.report)
        given: dict[str, Any] = dict(
            out=out,
            seeds=args.seeds,
            amp=args.amp,
            report_flags=flags,
            processes=args.processes,
        )
        if args.rounds is None:
            comparison = Comparison(models, **given)
        else:
            comparison = MinedComparison(models, args.rounds, **given)
        settings = JobSettings(args.jobs, args.slurm)
        runner, title = comparison.runner, 'Write the page'
        code = run_stages_as(settings, runner, console, title, comparison.report)
    if code == 0:
        table = comparison.page.with_suffix('.md').read_text(encoding='utf-8').split('\n## ')[1]
        console.print(table, markup=False, highlight=False, soft_wrap=True)
        console.print(f'Page: {comparison.page}', markup=False, soft_wrap=True, highlight=False)
    return code
