"""Read the file of a checkpoint, or say in one line why it is none."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError

__all__ = ['load_from_local', 'load_weights_only', 'unreadable', 'without_config_text']

_LFS = b'version https://git-lfs.github.com/spec'
_AGAIN = 'fetch it again, from a source you trust'


def load_weights_only(
    path: str | Path, map_location: Any = 'cpu', mmap: bool | None = None
) -> dict[str, Any]:
    """Read a checkpoint with ``weights_only``: nothing in it is run.

    Args:
        path: The file.
        map_location: As ``torch.load``.
        mmap: As ``torch.load``; a file of the old format is then read whole.

    Returns:
        Its content, a dict; as mmengine and torch save it, with or without ``state_dict``.

    Raises:
        CheckpointError: It is missing, empty, cut short, a web page, a pointer of Git LFS, no
            checkpoint, or holds more than weights; the message names the file.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist: check the path")
    try:
        if mmap and _is_archive(file):
            content = torch.load(file, map_location=map_location, weights_only=True, mmap=True)
        else:
            content = torch.load(file, map_location=map_location, weights_only=True)
    except Exception as error:  # bytes cut or changed can make anything fail
        raise CheckpointError(unreadable(file, error)) from error
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"'{path}' is not a checkpoint: expected a dict of weights, found "
            f'{type(content).__name__}; {_AGAIN}'
        )
    return dict(content)


def unreadable(file: Path, error: Exception) -> str:
    """Say why a file cannot be read as a checkpoint.

    Args:
        file: The file.
        error: What torch says of it.
    """
    size = file.stat().st_size
    with file.open('rb') as opened:
        head = opened.read(512)
        opened.seek(max(0, size - 512))
        tail = opened.read()
    start = head.lstrip(b'\xef\xbb\xbf \t\r\n').lower()
    not_one = f"'{file}' is not a checkpoint ({size} bytes"
    if size == 0:
        return f"'{file}' is not a checkpoint (0 bytes): it is empty; {_AGAIN}"
    if head.startswith(_LFS):
        return f'{not_one}): it is a pointer of Git LFS; fetch the file itself, with git lfs pull'
    if start.startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        return f'{not_one}): it is a web page; {_AGAIN}'
    if head.startswith(b'PK\x03\x04') and b'PK\x05\x06' not in tail:
        return f"checkpoint '{file}' is cut short after {size} bytes; {_AGAIN}"
    if isinstance(error, pickle.UnpicklingError) and _names_a_global(error):
        return (
            f"checkpoint '{file}' was not loaded, since it holds more than weights "
            f'({_global(error)}): use one from a source you trust, saved by mmengine'
        )
    if isinstance(error, EOFError) or 'Ran out of input' in str(error):
        return f"checkpoint '{file}' is cut short after {size} bytes; {_AGAIN}"
    return f'{not_one}; {type(error).__name__}): {_AGAIN}'


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a checkpoint for mmengine's loaders, without the text of a config that they would run.

    Args:
        filename: The file.
        map_location: As ``torch.load``.

    Raises:
        FileNotFoundError: No such file, as of the loader in whose place this one stands.
        CheckpointError: It cannot be read, see :func:`load_weights_only`.
    """
    if not Path(filename).expanduser().is_file():
        raise FileNotFoundError(f"checkpoint '{filename}' does not exist")
    return without_config_text(load_weights_only(filename, map_location))


def without_config_text(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Take ``meta['config']`` out of a checkpoint: mmengine's ``resume`` runs its text.

    Old mmcv kept the text of the config there; mmengine 0.10.7 only looks for ``gpu_ids`` in it.
    """
    meta = checkpoint.get('meta')
    if isinstance(meta, Mapping) and 'config' in meta:
        checkpoint['meta'] = {key: value for key, value in meta.items() if key != 'config'}
    return checkpoint


def _is_archive(file: Path) -> bool:
    with file.open('rb') as opened:
        return opened.read(4) == b'PK\x03\x04'


def _names_a_global(error: Exception) -> bool:
    text = str(error)
    return any(
        word in text
        for word in ('GLOBAL', 'global', 'class', 'checkpoint asks', 'checkpoint holds')
    )


def _global(error: Exception) -> str:
    """What the checkpoint asks for, without torch's hint to switch the safe reading off."""
    text = str(error)
    for before in ('Unsupported global: GLOBAL ', 'unsupported GLOBAL ', 'unsupported class '):
        if before in text:
            return text.split(before, 1)[1].split()[0].rstrip('.,')
    for before in ('the checkpoint holds', 'the checkpoint asks'):
        if before in text:
            return ' '.join(text[text.index(before) :].split('\n')[0].split())
    return 'a class or function that is not known'
