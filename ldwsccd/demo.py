"""The main job from end to end on synthetic smears: draw, train, test, and one HTML page.

Run again, it takes up what is done: finished stages are skipped, an interrupted training goes on
from its last epoch, and changed settings repeat only what depends on them.

Example:
    ldwsccd demo --out work_dirs/demo --missing 0.3 --wrong-class 0.05
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import at_least, fraction

FULL = dict(out='work_dirs/demo', num_train=480, num_val=110, epochs=5, teacher_epochs=7)
QUICK = dict(out='work_dirs/demo_quick', num_train=22, num_val=11, epochs=1, teacher_epochs=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('--out', metavar='DIR', help=f'folder of the demo (default: {FULL["out"]})')
    add('--quick', action='store_true', help='a tiny run that shows that all parts work')
    add('--seed', type=at_least(0), default=0, help='seed of smears and trainings (default: 0)')
    add('--num-train', type=at_least(1), help=f'training smears (default: {FULL["num_train"]})')
    add('--num-val', type=at_least(1), help=f'test smears (default: {FULL["num_val"]})')
    add('--epochs', type=at_least(1), help=f'of LD-WSCCD and SSD (default: {FULL["epochs"]})')
    add('--teacher-epochs', type=at_least(1), help=f'(default: {FULL["teacher_epochs"]})')
    add(
        '--missing',
        type=fraction,
        default=0.1,
        metavar='FRACTION',
        help='of the training boxes that are left out (default: 0.1)',
    )
    add(
        '--wrong-class',
        type=fraction,
        default=0.05,
        metavar='FRACTION',
        help='of the training boxes that get a wrong class (default: 0.05)',
    )
    add('--num-fields', type=at_least(1), default=6, help='smears shown on the page (default: 6)')
    add(
        '--score-thr',
        type=fraction,
        metavar='SCORE',
        help='least score of a detection shown (default: each model at its best F1)',
    )
    add('--picture', metavar='FILE.png', help='also draw three smears, truth above detections')


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fill in what was not given."""
    for key, value in (QUICK if args.quick else FULL).items():
        if getattr(args, key) is None:
            setattr(args, key, value)


def main(args: argparse.Namespace, console: Any = None) -> int:
    """Run the demo; returns the exit code: 1 where a stage failed, 130 where interrupted."""
    from rich.console import Console

    from ldwsccd_mmdet.experiments.demo import Demo, Smears
    from ldwsccd_mmdet.experiments.report import write_report
    from ldwsccd_mmdet.experiments.report.picture import write_picture
    from ldwsccd_mmdet.experiments.stages import Show, claim, run_stages, stopped_by_signals

    console = console or Console(emoji=False)
    out = Path(args.out).resolve()
    smears = Smears(args.num_train, args.num_val, args.seed, args.missing, args.wrong_class)
    with stopped_by_signals(), claim(out, 'demo'):
        demo = Demo(smears, out, args.epochs, args.teacher_epochs)

        def write_page(_: Show) -> None:
            report = demo.collect(args.num_fields, args.score_thr, args.command_line)
            write_report(report, demo.page)
            if args.picture:
                taught = next(model for model in report.models if model.name == 'LD-WSCCD')
                write_picture(report, taught, Path(args.picture))

        code = run_stages(demo.runner, console, 'Write the page', write_page)
    if code == 0:
        table = demo.page.with_suffix('.md').read_text(encoding='utf-8').split('\n## ')[1]
        console.print(table, markup=False, highlight=False, soft_wrap=True)
        console.print(f'Page: {demo.page}', markup=False, soft_wrap=True, highlight=False)
    return code
