"""Measure what the method gives where boxes are missing, and write results/half_the_boxes.csv.

Examples:
    python tools/half_the_boxes.py configs/ldwsccd/ldwsccd_ssd256-narrow_bccd.py --data bccd --epochs 20
    python tools/half_the_boxes.py CONFIG --data cric --test-files val.json --seeds 0 --boxes-kept 1

Run again, it takes up what is done: finished stages are kept, an interrupted training goes on.
"""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

if importlib.util.find_spec('ldwsccd_mmdet') is None:  # a clone that was not installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction  # noqa: E402
from rich.console import Console  # noqa: E402

from ldwsccd_mmdet import cli  # noqa: E402
from ldwsccd_mmdet.experiments.half_the_boxes import HalfTheBoxes, Settings  # noqa: E402
from ldwsccd_mmdet.experiments.stages import claim, run_stages  # noqa: E402


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', type=Path, help='config of LD-WSCCD; its teacher is found')
    add('--data', required=True, help='name of the data in the CSV')
    add('--boxes-kept', type=float, nargs='+', default=[1.0, 0.5, 0.2], help='(default: 1 0.5 0.2)')
    add('--seeds', type=int, nargs='+', default=[0, 1, 2], help='(default: 0 1 2)')
    add(
        '--models',
        nargs='+',
        default=['teacher', 'ssd', 'ldwsccd'],
        help='of teacher, ssd, ssd_ldm, ssd_mil, ldwsccd (default: teacher ssd ldwsccd)',
    )
    add('--epochs', type=int, help='length of all trainings (default: as in their configs)')
    add('--test-files', nargs='+', default=['val.json', 'test.json'], help='tested on together')
    add('--out', type=Path, help='(default: work_dirs/half_the_boxes_<data>)')
    add('--results', type=Path, default=Path('results/half_the_boxes.csv'), help='the CSV')
    add('--no-amp', action='store_false', dest='amp', help='train in full precision')
    add('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE', help='in all configs')
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> int:
    out = (args.out or Path(f'work_dirs/half_the_boxes_{args.data}')).resolve()
    with claim(out, 'half_the_boxes'):
        experiment = HalfTheBoxes(
            Settings(
                config=args.config,
                data=args.data,
                out=out,
                results=args.results,
                boxes_kept=args.boxes_kept,
                seeds=args.seeds,
                models=args.models,
                epochs=args.epochs,
                test_files=args.test_files,
                amp=args.amp,
                options=args.cfg_options,
            )
        )
        return run_stages(experiment.runner, Console(), 'Write the CSV', experiment.write)


if __name__ == '__main__':
    for sign in (signal.SIGTERM, signal.SIGHUP):  # leave a state to go on from, and no program
        signal.signal(sign, signal.default_int_handler)
    sys.exit(cli.run_tool(main, parse_args()))
