"""The stacks that users have, each built and tried by one command.

    python dev/stacks.py --list
    python dev/stacks.py lite                     # one stack
    python dev/stacks.py lite py312 --csv results/stacks.csv

A stack is built in `.stacks/NAME` (`--folder`) by the Python it names, which must be in PATH. Then
the tests of `CHECK` run in it: operators, every shipped config, checkpoints, and the training,
resuming and testing of a tiny detector. Exit code 0: all stacks passed.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / 'requirements' / 'stack.txt'
CHECK = (
    'tests/test_ops',
    'tests/test_configs.py',
    'tests/test_engine/test_checkpoint.py',
    'tests/test_tools/test_train_test.py',
)
BUILD_TOOLS = ('setuptools>=77,<82', 'wheel', 'ninja', 'pytest>=9,<10')
OFFICIAL = ('mmdet==3.3.0', 'mmengine==0.10.7')
LITE = (*OFFICIAL, 'mmcv-lite==2.1.0')
# What the project asks for beside the OpenMMLab packages: a fork has other names than it asks for.
PLAIN = ('numpy', 'scipy', 'pycocotools', 'matplotlib', 'jinja2', 'rich', 'opencv-python-headless')
FORK_NEEDS = (
    *PLAIN,
    'imaug',
    'pyyaml',
    'shapely',
    'six',
    'terminaltables',
    'tqdm',
    'addict',
    'yapf',
    'termcolor',
)


@dataclass(frozen=True)
class Stack:
    """What is installed, in which Python."""

    python: str
    torch: tuple[str, ...]
    packages: tuple[str, ...]
    about: str
    compiled: bool = False
    fork: bool = False


STACKS = {
    'lite': Stack('3.11', ('torch==2.13.0',), LITE, 'the default of `make env`'),
    'compiled': Stack(
        '3.11', ('torch==2.13.0',), (*OFFICIAL, 'mmcv==2.1.0'), 'compiled operators', compiled=True
    ),
    'onedl': Stack(
        '3.11',
        ('torch==2.13.0',),
        ('onedl-mmdetection==3.5.1', 'onedl-mmengine==0.10.12', 'mmcv-lite==2.1.0'),
        "OneDL's maintained fork",
        fork=True,
    ),
    'torchvision': Stack(
        '3.11',
        ('torch==2.14.1', 'torchvision==0.29.1'),
        LITE,
        "newest torch, torchvision's kernels",
    ),
    'py310': Stack('3.10', ('torch==2.13.0',), LITE, 'oldest Python'),
    'py312': Stack('3.12', ('torch==2.13.0',), LITE, ''),
    'py313': Stack('3.13', ('torch==2.13.0',), LITE, 'newest Python'),
    'torch26': Stack('3.11', ('torch==2.6.0',), LITE, 'oldest torch'),
    'torch29': Stack('3.11', ('torch==2.9.1',), LITE, 'a torch between'),
}


def interpreter(version: str) -> str:
    """A Python of this version: the one that runs this, or the one in PATH."""
    if '.'.join(platform.python_version_tuple()[:2]) == version:
        return sys.executable
    name = f'python{version}'
    if shutil.which(name) is None:
        raise FileNotFoundError(f'{name} is not in PATH')
    return name


def commands(stack: Stack, folder: Path) -> list[list[str]]:
    """Everything that is run, in order; the environment lies in the folder."""
    python = str(folder / 'bin' / 'python')
    pip = [python, '-m', 'pip', 'install', '-q', '--no-input', '-c', str(CONSTRAINTS)]
    no_build = ['--no-build-isolation']
    if stack.fork:
        packages = [[*pip, *FORK_NEEDS], [*pip, '--no-deps', *stack.packages]]
        project = [*pip, *no_build, '--no-deps', '-e', str(ROOT)]
    else:
        source = ['--no-binary', 'mmcv'] if stack.compiled else []
        packages = [[*pip, *no_build, *source, *stack.packages, *stack.torch]]
        project = [*pip, *no_build, '-e', str(ROOT), *stack.packages, *stack.torch]
    return [
        [interpreter(stack.python), '-m', 'venv', '--clear', str(folder)],
        [*pip, *BUILD_TOOLS, *stack.torch],
        *packages,
        project,
        [python, '-m', 'pytest', '-q', '-m', 'not slow', '-p', 'no:cacheprovider', *CHECK],
    ]


def try_stack(name: str, folder: Path) -> dict[str, object]:
    """Build and check one stack; its row of the table."""
    stack, log = STACKS[name], folder.with_suffix('.log')
    row: dict[str, object] = dict(
        stack=name, python=stack.python, torch=' '.join(stack.torch), mmcv=stack.packages[-1]
    )
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    env.update(OMP_NUM_THREADS='1', MMCV_WITH_OPS='1' if stack.compiled else '0')
    started, last = time.monotonic(), ''
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text('', encoding='utf-8')
    try:
        for command in commands(stack, folder):
            print(f'{name}: {" ".join(command[1:])[:100]}', flush=True)
            with log.open('a', encoding='utf-8') as out:
                done = subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=out)
            lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
            last = lines[-1] if lines else ''
            if done.returncode:
                break
        passed = done.returncode == 0
    except FileNotFoundError as error:
        passed, last = False, str(error)
    seconds, last = round(time.monotonic() - started), without_folders(last, ROOT, folder)
    return row | dict(result='passed' if passed else 'failed', seconds=seconds, last_line=last)


def without_folders(line: str, *folders: Path) -> str:
    """The line with these folders named by their last part: a table tells nothing of a machine."""
    for folder in folders:
        line = line.replace(str(folder), folder.name)
    return line


def add_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Write the rows, in place of older ones of the same stacks."""
    new = {row['stack'] for row in rows}
    old: list[dict[str, object]] = []
    if path.exists():
        with path.open(newline='', encoding='utf-8') as file:
            old = [dict(row) for row in csv.DictReader(file) if row['stack'] not in new]
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
        writer.writeheader()
        writer.writerows(old + rows)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('stacks', nargs='*', choices=[*STACKS, []], metavar='STACK')
    parser.add_argument('--list', action='store_true', help='show the stacks and stop')
    parser.add_argument('--folder', type=Path, default=ROOT / '.stacks')
    parser.add_argument('--csv', type=Path, help='rows are added, or replaced')
    args = parser.parse_args()
    if args.list or not args.stacks:
        for name, stack in STACKS.items():
            parts = ' '.join((*stack.torch, *stack.packages))
            print(f'{name:12} Python {stack.python}  {parts}  {stack.about}')
        return 0
    rows = [try_stack(name, args.folder.resolve() / name) for name in args.stacks]
    for row in rows:
        print(f'{row["stack"]}: {row["result"]} in {row["seconds"]} s: {row["last_line"]}')
    if args.csv:
        add_rows(args.csv, rows)
    return int(any(row['result'] != 'passed' for row in rows))


if __name__ == '__main__':
    sys.exit(main())
