"""Fetch the pretrained weights that a model starts from, or say clearly that they are missing."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pickle import UnpicklingError
from typing import Any
from urllib.error import URLError

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader

from ldwsccd_mmdet.errors import CheckpointError, ConfigError

__all__ = ['fetch_pretrained']

TIMEOUT = 30.0  # seconds without an answer


def fetch_pretrained(config: Config) -> None:
    """Read, once, all weights that ``init_cfg=dict(type='Pretrained')`` names in the model.

    mmengine would do so when it initialises the weights, after minutes of preparation, and with an
    error that tells nothing of the config. What is fetched stays in torch's cache.

    Where the config has ``load_from`` (or resumes), the weights would be overwritten anyway: if
    they cannot be had, the entry is dropped with a warning.

    Raises:
        ConfigError: Weights cannot be had; it names the key, the reason, and how to give a file.
    """
    for key, parent in list(_pretrained(config.get('model') or {}, 'model')):
        checkpoint = parent['init_cfg'].get('checkpoint')
        reason = _unreadable(str(checkpoint))
        if reason is None:
            continue
        if config.get('load_from') or config.get('resume'):
            print_log(
                f"{key}: '{checkpoint}' cannot be read ({reason}); left out, as "
                f'load_from={config.get("load_from")} gives the weights',
                logger='current',
                level=logging.WARNING,
            )
            parent['init_cfg'] = None
            continue
        raise ConfigError(
            f"{key}.checkpoint: the pretrained weights '{checkpoint}' cannot be read ({reason}); "
            'fetch them where there is network and give the file, --cfg-options '
            f'{key}.checkpoint=FILE; or start from a whole checkpoint, --cfg-options '
            f'load_from=FILE {key}=None; or from scratch, --cfg-options {key}=None'
        )


def _pretrained(part: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield key of ``init_cfg`` and its parent for each ``Pretrained`` in a model's config."""
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _pretrained(item, f'{key}.{index}')
        return
    if not isinstance(part, Mapping):
        return
    init_cfg = part.get('init_cfg')
    if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
        yield f'{key}.init_cfg', part
    for name, value in part.items():
        # a teacher's weights are those of its checkpoint
        if name not in ('init_cfg', 'teacher'):
            yield from _pretrained(value, f'{key}.{name}')


def _unreadable(checkpoint: str) -> str | None:
    """Return why weights cannot be read; None if they can."""
    try:
        with _timeout(TIMEOUT):
            CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    except ModuleNotFoundError as error:
        return f'it needs the package {error.name}'
    except FileNotFoundError:
        return 'no such file'
    except CheckpointError as error:
        return str(error)
    except URLError as error:
        return f'no network: {error.reason}'
    except (OSError, EOFError, RuntimeError, KeyError, ValueError, UnpicklingError) as error:
        return f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
    return None


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Let connections opened here give up."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
