"""Find the checkpoint that a flag or a config names."""

from __future__ import annotations

from pathlib import Path

from ..errors import CheckpointError

__all__ = ['find_checkpoint', 'find_resume']


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
    """Find the checkpoint to resume from.

    Args:
        work_dir: The folder to search if ``resume`` is ``'auto'``: the checkpoint that its
            ``last_checkpoint`` names, which may have been written before the folder was moved.
        resume: ``'auto'`` or a checkpoint's path.

    Raises:
        CheckpointError: There is none.
    """
    if resume != 'auto':
        return find_checkpoint(resume)
    folder = Path(work_dir).expanduser()
    pointer = folder / 'last_checkpoint'
    if pointer.is_file():
        last = Path(pointer.read_text(encoding='utf-8').strip())
        for file in (last, folder / last.name):
            if file.is_file():
                return str(file)
    raise CheckpointError(
        f"--resume: no checkpoint in '{work_dir}' (searched by its file last_checkpoint): leave "
        'out --resume to start anew, or give the path, --resume PATH'
    )
