"""Read a checkpoint file without running anything in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from ..errors import CheckpointError
from ..optional import require
from .weights_only import load_weights_only

__all__ = ['read_checkpoint']


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """Read a checkpoint, ``.pth`` or ``.safetensors``, without running anything in it.

    Args:
        path: The file, or an address (``https://``), which mmengine's loaders fetch.
        map_location: As ``torch.load``.

    Returns:
        ``state_dict`` and ``meta``, and what else a ``.pth`` holds.

    Raises:
        CheckpointError: It is missing, cut short, or no checkpoint.
    """
    if '://' in str(path):
        fetched = CheckpointLoader.load_checkpoint(str(path), map_location=map_location)
        return dict(fetched) if 'state_dict' in fetched else {'state_dict': fetched}
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist: check the path")
    if path.suffix == '.safetensors':
        return _read_safetensors(path)
    content = load_weights_only(path, map_location)
    if not isinstance(content.get('state_dict'), Mapping):
        content = _with_state_dict(content)
    return dict(content)


def _with_state_dict(content: Mapping[str, Any]) -> dict[str, Any]:
    """Give weights that stand under another key, or under none, the key that mmengine uses."""
    for key in ('model', 'model_state_dict', 'ema_state_dict'):
        if isinstance(content.get(key), Mapping):
            return {**content, 'state_dict': content[key]}
    return {'state_dict': content}


def _read_safetensors(path: Path) -> dict[str, Any]:
    """Read what ``ldwsccd publish`` wrote."""
    safetensors = require('safetensors', 'export', f"Checkpoint '{path}'")
    try:
        with safetensors.safe_open(str(path), 'pt') as file:
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            meta = dict(file.metadata() or {})
            meta['dataset_meta'] = json.loads(meta.get('dataset_meta', '{}'))
    except (safetensors.SafetensorError, ValueError) as error:
        raise CheckpointError(
            f"'{path}' is not a safetensors file that can be read ({error}): fetch it again"
        ) from error
    return {'state_dict': state, 'meta': meta}
