"""Say an error of mmengine or mmdet in one line, with the key of the config that it is about."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger

from .config_check import TOP_LEVEL

__all__ = ['describe', 'log_traceback']

_LONGEST = 400
_TIMED_OUT = re.compile(
    r'timed out waiting|Watchdog caught collective|wait timeout|timeout:|Timed out after', re.I
)


def describe(error: BaseException) -> str:
    """Say an error in one line: the config's key where it can be known, its class, its message.

    Args:
        error: The error, with its traceback.
    """
    text = ' '.join(str(error).split()) or 'no message'
    if _TIMED_OUT.search(text) and isinstance(error, RuntimeError):
        return (
            'a process did not answer in time, so that the others gave up: its last lines say '
            'what it did, and env_cfg.dist_cfg.timeout how many seconds they wait '
            f'({text[:160]})'
        )
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"'{error.filename}': {error.strerror}; check the path, its rights and the disk"
    if len(text) > _LONGEST:
        text = f'{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}'
    text = f'{type(error).__name__}: {text}'
    frames = list(_frames(error))
    key = _key(frames)
    return text if key is None else f'{key}: {text}'


def log_traceback(error: BaseException) -> str | None:
    """Write the traceback into the log files of this process.

    Returns:
        The first of them, or None where there is none.
    """
    files = []
    for logger in list(MMLogger._instance_dict.values()):
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                record = logging.LogRecord(
                    logger.name,
                    logging.ERROR,
                    __file__,
                    0,
                    'the run ended with an error',
                    None,
                    (type(error), error, error.__traceback__),
                )
                handler.handle(record)
                files.append(handler.baseFilename)
    return files[0] if files else None


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback is not None:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _key(frames: list[FrameType]) -> str | None:
    """Find the part of the config that was being built when the error came."""
    config = next((value for frame in frames for value in _configs(frame)), None)
    parts = [
        frame.f_locals['cfg']
        for frame in frames
        if frame.f_code.co_name == 'build_from_cfg' and isinstance(frame.f_locals['cfg'], Mapping)
    ]
    if config is None:
        return None
    for part in reversed(parts):  # the innermost that the config names
        key = _place(config, part)
        if key is not None:
            return key
    return None


def _configs(frame: FrameType) -> Iterator[Config]:
    for name in ('config', 'cfg'):
        value = frame.f_locals.get(name)
        if isinstance(value, Config):
            yield value


def _place(config: Config, part: Mapping[str, Any]) -> str | None:
    """The key of a part: the one of its type that agrees with it most; None where two do."""
    wanted = part.get('type')
    found = [
        (sum(part.get(name) == value for name, value in item.items()), key)
        for name, setting in config._cfg_dict.to_dict().items()
        if name in TOP_LEVEL  # others are variables of the file
        for key, item in _typed(setting, name)
        if item['type'] == wanted
    ]
    if not found:
        return None
    best = max(found)[0]
    keys = [key for score, key in found if score == best]
    return keys[0] if len(keys) == 1 else None


def _typed(part: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All dicts with a type, and their keys."""
    if isinstance(part, Mapping):
        if 'type' in part:
            yield key, part
        items = part.items()
    elif isinstance(part, (list, tuple)):
        items = {str(index): value for index, value in enumerate(part)}.items()
    else:
        return
    for name, value in items:
        yield from _typed(value, f'{key}.{name}')
