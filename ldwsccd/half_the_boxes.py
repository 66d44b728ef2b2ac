"""Measure what the method gives where boxes are missing, and write results/half_the_boxes.csv.

Examples:
    ldwsccd half-the-boxes ldwsccd_ssd256-narrow_bccd.py --data bccd --epochs 20
    ldwsccd half-the-boxes CONFIG --data cric --test-files val.json --seeds 0 --boxes-kept 1

Run again, it takes up what is done: finished stages are kept, an interrupted training goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_config_options, add_job_arguments, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('config', help='config of LD-WSCCD; its teacher is found')
    add('--data', required=True, help='name of the data in the CSV')
    add('--boxes-kept', type=float, nargs='+', default=[1.0, 0.5, 0.2], help='(default: 1 0.5 0.2)')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(default: 0 1 2)')
    add(
        '--models',
        nargs='+',
        default=['teacher', 'ssd', 'ssd_all_negatives', 'ldwsccd'],
        help='of teacher, ssd, ssd_all_negatives, ssd_ldm, ssd_mil, ldwsccd '
        '(default: teacher, ssd, ssd_all_negatives, ldwsccd)',
    )
    add('--epochs', type=int, help='length of all trainings (default: as in their configs)')
    add('--test-files', nargs='+', default=['val.json', 'test.json'], help='tested on together')
    add(
        '--rounds',
        type=at_least(0),
        default=1,
        help='that look for cells in turn; 0 where every cell has a box (default: 1)',
    )
    add('--out', type=Path, help='(default: work_dirs/half_the_boxes_<data>)')
    add('--results', type=Path, default=Path('results/half_the_boxes.csv'), help='the CSV')
    add('--no-amp', action='store_false', dest='amp', help='train in full precision')
    add_job_arguments(parser)
    add_config_options(parser, 'settings to override in all configs')


def main(args: argparse.Namespace) -> int:
    """Run what is not done yet, and write the CSV; returns the exit code."""
    from rich.console import Console

    from ldwsccd_mmdet.engine.config_file import find_config
    from ldwsccd_mmdet.experiments.half_the_boxes import HalfTheBoxes, Settings
    from ldwsccd_mmdet.experiments.stage_jobs import JobSettings, run_stages_as
    from ldwsccd_mmdet.experiments.stages import claim, stopped_by_signals

    out = (args.out or Path(f'work_dirs/half_the_boxes_{args.data}')).resolve()
    with stopped_by_signals(), claim(out, 'half_the_boxes'):
        experiment = HalfTheBoxes(
            Settings(
                config=find_config(args.config),
                data=args.data,
                out=out,
                results=args.results,
                boxes_kept=args.boxes_kept,
                seeds=args.seeds,
                models=args.models,
                epochs=args.epochs,
                test_files=args.test_files,
                rounds=args.rounds,
                amp=args.amp,
                options=args.cfg_options,
                processes=args.processes,
            )
        )
        settings = JobSettings(args.jobs, args.slurm)
        runner, title, console = experiment.runner, 'Write the CSV', Console(emoji=False)
        return run_stages_as(settings, runner, console, title, experiment.write)
