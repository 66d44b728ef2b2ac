"""Find the cells of a training set that have no box: how many, where, and how sure that is.

Example:
    ldwsccd find-missing ldwsccd_ssd256-narrow_bccd.py

It hides a fifth of the boxes, trains the config's teacher on the others and looks at what it finds
on the training images (docs/missing_boxes.md). With --rounds 2 a student learns that besides and
looks again. It leaves mined.json, pictures, and the command that trains the student with them. Run
again, it takes up what is done.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .arguments import add_config_options, at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('config', help='config of LD-WSCCD; its teacher and its training set are found')
    add('--epochs', type=at_least(1), help='length of the trainings (default: as in their configs)')
    add('--fraction', type=float, default=0.2, help='of the boxes that is hidden (default: 0.2)')
    add('--seed', type=int, default=0, help='of the hidden boxes and the training (default: 0)')
    add('--rounds', type=at_least(1), default=1, help='that look for cells in turn (default: 1)')
    add('-n', '--num', type=at_least(0), default=24, help='pictures (default: 24)')
    add('--out', type=Path, help='(default: work_dirs/find_missing/<config>)')
    add('--no-amp', action='store_false', dest='amp', help='train in full precision')
    add_config_options(parser, 'settings to override in both configs')


def main(args: argparse.Namespace) -> int:
    """Run what is not done yet, and say what was found; returns the exit code."""
    from rich.console import Console

    from ldwsccd_mmdet.engine.config_file import find_config
    from ldwsccd_mmdet.experiments.missing_cells import MissingCells
    from ldwsccd_mmdet.experiments.stages import claim, run_stages, stopped_by_signals

    out = (args.out or Path('work_dirs/find_missing') / Path(args.config).stem).resolve()
    with stopped_by_signals(), claim(out, 'find_missing'):
        search = MissingCells(
            find_config(args.config),
            out,
            args.epochs,
            args.fraction,
            args.seed,
            args.num,
            args.amp,
            args.rounds,
            args.cfg_options,
        )
        code = run_stages(search.runner, Console(emoji=False), 'Read what was mined', search.read)
    if code == 0:
        print(search.summary())
    return code
