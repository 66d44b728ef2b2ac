"""Show what differs in the resolved configs between a commit and the working tree.

    python dev/compare_configs.py 4735a8d --moved dev/moved_configs.csv

Each config is resolved as mmengine does it and compared by what a runner reads of it. A difference
that several configs share is printed once, with their number. Exit code 1 where there are any.
"""

from __future__ import annotations

import argparse
import csv
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
#: What a runner takes; other top-level names only help to write a config.
RUNNER_KEYS = (
    'model',
    'work_dir',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'auto_scale_lr',
    'optim_wrapper',
    'param_scheduler',
    'val_evaluator',
    'test_evaluator',
    'default_hooks',
    'custom_hooks',
    'data_preprocessor',
    'load_from',
    'resume',
    'launcher',
    'env_cfg',
    'log_processor',
    'log_level',
    'visualizer',
    'default_scope',
    'randomness',
    'runner_type',
    'custom_imports',
)
ABSENT = '(absent)'


def resolve(path: Path) -> dict[str, Any]:
    """What a runner reads of a config, flat: key to value."""
    config = Config.fromfile(path, import_custom_modules=False).to_dict()
    return dict(pair for key in RUNNER_KEYS if key in config for pair in flat(config[key], key))


def flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of each leaf of nested dicts and of lists of dicts."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from flat(part, f'{key}.{name}')
    elif isinstance(value, (list, tuple)) and any(isinstance(part, dict) for part in value):
        for index, part in enumerate(value):
            yield from flat(part, f'{key}[{index}]')
    else:
        # mmengine and mmdet take lists and tuples alike
        yield key, list(value) if isinstance(value, (list, tuple)) else value


def extract(commit: str, folder: Path) -> Path:
    """Write the configs of a commit into a folder."""
    archive = subprocess.run(
        ['git', 'archive', commit, 'configs'], cwd=ROOT, check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter='data')
    return folder / 'configs'


def moves(file: Path | None) -> dict[str, str]:
    """Old paths below configs/ and where each of them went."""
    if file is None:
        return {}
    with file.open(newline='', encoding='utf-8') as lines:
        return {row['old']: row['new'] for row in csv.DictReader(lines)}


def leaves(folder: Path) -> list[str]:
    """Paths of the configs that are no bases."""
    paths = (path.relative_to(folder) for path in sorted(folder.rglob('*.py')))
    return [path.as_posix() for path in paths if '_base_' not in path.parts]


def compare(old: Path, new: Path, moved: dict[str, str]) -> tuple[dict, list[str], list[str]]:
    """Compare two trees of configs.

    Returns:
        The configs (by their new path) of each difference (key, old value, new value); the old
        configs that are gone; the new ones that no old one became.
    """
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    gone, became = [], set()
    for path in leaves(old):
        target = moved.get(path, path)
        if not (new / target).is_file():
            gone.append(path)
            continue
        became.add(target)
        before, after = resolve(old / path), resolve(new / target)
        for key in dict.fromkeys((*before, *after)):
            pair = before.get(key, ABSENT), after.get(key, ABSENT)
            if pair[0] != pair[1]:
                found[(key, repr(pair[0]), repr(pair[1]))].append(target)
    return found, gone, [path for path in leaves(new) if path not in became]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('commit', help='to compare the working tree with')
    parser.add_argument('--moved', type=Path, metavar='CSV', help='columns old and new: paths')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        old = extract(args.commit, Path(folder))
        number = len(leaves(old))
        found, gone, added = compare(old, ROOT / 'configs', moves(args.moved))
    for (key, before, after), paths in found.items():
        where = paths[0] if len(paths) == 1 else f'{len(paths)} configs, as {paths[0]}'
        print(f'{key}\n    {before}\n    {after}\n    in {where}')
    print(f'{number} configs of {args.commit}: {len(found)} differences')
    print(f'gone: {", ".join(gone) or "none"}')
    print(f'new: {", ".join(added) or "none"}')
    return int(bool(found or gone))


if __name__ == '__main__':
    sys.exit(main())
