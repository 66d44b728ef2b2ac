"""What the whole demo and an evaluation take with operators in plain torch, and with compiled ones.

    python dev/mmcv_kernels.py .kernels
    python benchmarks/whole_runs.py --kernels .kernels

writes results/speed_whole_runs.csv.

The folder holds an mmcv with compiled operators, which is put first in the path of every second
run. The demo (`ldwsccd demo`) and the evaluation of its LD-WSCCD on other drawn smears (`ldwsccd
test`) are run with either, in turns. A row has wall time and processor time of all processes; the
ratio is that of plain torch to compiled, of the processor times: other work on the machine changes
these little.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from turns import conditions

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.csv_table import records, write_csv

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_whole_runs.csv'
OPERATORS = ('compiled', 'torch')
WHICH = 'import ldwsccd_mmdet.ops as ops; print("torch" if ops.is_stand_in() else "compiled")'


def environment(operators: str, kernels: Path, threads: int) -> dict[str, str]:
    """That of a run; compiled operators come first in the path."""
    folders = [str(kernels.resolve())] if operators == 'compiled' else []
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join([*folders, str(ROOT)])}
    env['OMP_NUM_THREADS'] = str(threads)
    found = subprocess.run(
        [sys.executable, '-c', WHICH], env=env, capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    if found != operators:
        raise SystemExit(
            f'error: --kernels {kernels}: expected a run with {operators} operators, found '
            f'{found}; make the folder by dev/mmcv_kernels.py, for this Python'
        )
    return env


def timed(arguments: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Run a command of ldwsccd; seconds of wall time, and of the processor in all processes."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, '-m', 'ldwsccd', *arguments]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f'error: {" ".join(arguments)}:\n{done.stderr[-2000:]}')
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def evaluation(demo: Path, data: Path, work_dir: Path) -> list[str]:
    """The test of the demo's LD-WSCCD on another set."""
    (checkpoint,) = demo.glob('ld-wsccd/epoch_*.pth')
    keys = dict(data_root=data, ann_file='val.json')
    options = [f'test_dataloader.dataset.{key}={value}' for key, value in keys.items()]
    options.append(f'test_evaluator.ann_file={data / "val.json"}')
    config = demo / 'ld-wsccd' / 'ld-wsccd.py'
    arguments = ['test', str(config), str(checkpoint), '--work-dir', str(work_dir)]
    return [*arguments, '--cfg-options', *options]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--kernels', type=Path, required=True, help='folder made by dev/mmcv_kernels.py')
    add('--quick', action='store_true', help="the demo's --quick")
    add('--images', type=int, default=500, help='that are evaluated (default: %(default)s)')
    add('--threads', type=int, default=2)
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder)
        envs = {name: environment(name, args.kernels, args.threads) for name in OPERATORS}
        data = temporary / 'data'
        draw = ['draw', '--out', str(data), '--num-train', '1', '--num-val', str(args.images)]
        timed([*draw, '--seed', '1'], envs['torch'])
        for task in ('demo', 'evaluation'):
            seconds = {}
            for name in OPERATORS:
                demo = temporary / f'demo_{name}'
                run = ['demo', '--out', str(demo), *(['--quick'] if args.quick else [])]
                if task == 'evaluation':
                    run = evaluation(demo, data, temporary / f'test_{name}')
                wall, seconds[name] = timed(run, envs[name])
                label = f'{task} --quick' if args.quick and task == 'demo' else task
                rows.append(dict(task=label, operators=name, wall_s=round(wall, 1)))
                rows[-1].update(cpu_s=round(seconds[name], 1), ratio='')
                rows[-1].update(images=args.images if task == 'evaluation' else '')
                rows[-1].update(conditions(1, args.threads, 0))
            rows[-1]['ratio'] = round(seconds['torch'] / seconds['compiled'], 3)
            for row in rows[-2:]:
                print(', '.join(f'{key} {value}' for key, value in row.items()), flush=True)
            write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
