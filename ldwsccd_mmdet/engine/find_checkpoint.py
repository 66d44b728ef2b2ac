"""Find the checkpoint that a flag or a config names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from mmengine.logging import print_log

from ..errors import CheckpointError
from ..models.utils import not_finite
from .checkpoint_file import read_checkpoint

__all__ = ['find_checkpoint', 'find_resume', 'may_resume']


def find_checkpoint(path: str) -> str:
    """Check that a checkpoint is there; addresses such as ``https://`` are left to mmengine.

    Raises:
        CheckpointError: No such file.
    """
    if '://' in path:
        return path
    file = Path(path).expanduser()
    if not file.is_file():
        found = sorted(p.name for p in file.parent.glob('*.pth')) if file.parent.is_dir() else []
        there = f'; checkpoints in that folder: {", ".join(found)}' if found else ''
        raise CheckpointError(f"checkpoint '{path}' does not exist: check the path{there}")
    return str(file)


def find_resume(work_dir: str, resume: str) -> str:
    """Find the checkpoint to resume from, and say which it is.

    Args:
        work_dir: The folder to search if ``resume`` is ``'auto'``, for the newest checkpoint that
            can be read and has finite weights, be it named by ``last_checkpoint`` or not. The file
            that ``last_checkpoint`` names counts too if it lies elsewhere.
        resume: ``'auto'`` or a checkpoint's path.

    Raises:
        CheckpointError: There is none.
    """
    if resume != 'auto':
        return find_checkpoint(resume)
    unreadable: list[str] = []
    for file in _newest_first(Path(work_dir).expanduser(), unreadable):
        reason = _unusable(file)
        if reason is None:
            _say(file, unreadable)
            return str(file)
        unreadable.append(f'{file.name}: {reason}')
    seen = f'; found {"; ".join(unreadable)}' if unreadable else ''
    raise CheckpointError(
        f"--resume: no checkpoint in '{work_dir}' that a training can go on from{seen}: leave out "
        '--resume to start anew, or give the path, --resume PATH'
    )


def may_resume(work_dir: str | Path) -> bool:
    """Tell whether a folder holds a checkpoint that a training can go on from."""
    return any(_unusable(file) is None for file in _newest_first(Path(work_dir), []))


def _say(file: Path, unreadable: list[str]) -> None:
    passed = f' (passed over: {"; ".join(unreadable)})' if unreadable else ''
    print_log(
        f"--resume: going on from '{file}'{passed}",
        logger='current',
        level=logging.WARNING if unreadable else logging.INFO,
    )


def _newest_first(folder: Path, unreadable: list[str]) -> Iterator[Path]:
    """Checkpoints of trainings by their iterations, falling; what can't be read is added."""
    files = {file.resolve(): file for file in folder.glob('*.pth')}
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        last = Path(pointer.read_text(encoding='utf-8', errors='replace').strip())
        if last.is_file():
            files.setdefault(last.resolve(), last)
    found = []
    for file in sorted(files.values(), key=_number, reverse=True):
        # the best ones are copies of weights alone
        if file.name.startswith('best_'):
            continue
        try:
            iteration = _iteration(file)
        except CheckpointError as error:
            unreadable.append(f'{file.name}: {_reason(error)}')
            continue
        if iteration is not None:
            found.append((iteration, file))
    yield from (file for _, file in sorted(found, key=lambda pair: pair[0], reverse=True))


def _number(file: Path) -> tuple[int, float]:
    """Number in the name of a checkpoint, and when it was written."""
    numbers = re.findall(r'\d+', file.stem)
    return int(numbers[-1]) if numbers else -1, file.stat().st_mtime


def _iteration(file: Path) -> int | None:
    """Iterations that a checkpoint's training had; None if it is not of a training."""
    try:  # mapped into memory: the weights themselves are not read
        content = torch.load(file, map_location='cpu', weights_only=True, mmap=True)
    except Exception:  # an old format, or half a file: the reader tells which
        content = read_checkpoint(file)
    if not isinstance(content, Mapping) or not {'state_dict', 'optimizer'} <= set(content):
        return None
    meta = content.get('meta')
    value = meta.get('iter') if isinstance(meta, Mapping) else None
    return value if isinstance(value, int) else None


def _unusable(file: Path) -> str | None:
    """Why a training can't go on from a checkpoint; None if it can."""
    try:
        content = read_checkpoint(file)
    except CheckpointError as error:
        return _reason(error)
    bad = [*not_finite(content['state_dict']), *not_finite(content.get('ema_state_dict') or {})]
    return f'{len(bad)} of its weights are not finite' if bad else None


def _reason(error: CheckpointError) -> str:
    text = str(error)
    return text.split('(', 1)[-1].split(';')[0] if 'can be read (' in text else text
