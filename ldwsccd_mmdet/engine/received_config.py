"""A config inside a checkpoint or a work directory, read without running it.

mmengine keeps a config as Python text and reads it by running that text. Checkpoints and work
directories may come from elsewhere, so here only literals are read, and only registered classes may
be built from them.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import CheckpointError, ConfigError, DatasetError
from ..regular_files import read_text
from .registered import SCOPES, UNREGISTERED, registered

__all__ = ['parse_config_text', 'read_config_file', 'received_config']

_LONGEST = 2_000_000
_OWN_IMPORTS = {'ldwsccd_mmdet'}
_REMEDY = 'give the config file of its training, which you trust: predict CONFIG --weights FILE'


def parse_config_text(text: str, source: str, remedy: str = _REMEDY) -> dict[str, Any]:
    """Read ``name = literal`` lines, as mmengine writes a resolved config.

    Args:
        text: The config.
        source: The file that it comes from, for messages.
        remedy: What to do if there is more in it.

    Returns:
        Its settings. ``dict(key=value)`` is read as a dict.

    Raises:
        CheckpointError: There is anything but literals in it; nothing of it is run.
    """
    if len(text) > _LONGEST:
        raise CheckpointError(f"'{source}' holds a config of {len(text)} characters: {remedy}")
    try:
        tree = ast.parse(text)
        settings = {}
        for statement in tree.body:
            if (
                not isinstance(statement, ast.Assign)
                or len(statement.targets) != 1
                or not isinstance(statement.targets[0], ast.Name)
            ):
                raise ValueError(f'line {statement.lineno} is no setting')
            settings[statement.targets[0].id] = _literal(statement.value)
        return settings
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(
            f"'{source}' holds a config with more than literal settings ({error}), which is not "
            f'run: {remedy}'
        ) from error


def read_config_file(path: str | Path) -> Config:
    """Read a config that lies in a folder from elsewhere, as mmengine dumps it.

    Raises:
        ConfigError: It has bases, or anything but literals; nothing of it is run.
    """
    remedy = 'name its predictions instead (.pkl), or trust it: --trust-configs'
    try:
        text = read_text(path)
        settings = parse_config_text(text, str(path), remedy)
    except (CheckpointError, DatasetError) as error:
        raise ConfigError(str(error)) from error
    if '_base_' in settings:
        raise ConfigError(
            f"'{path}' has bases (_base_), which are not read with a folder that was received: "
            f'{remedy}'
        )
    return Config(settings, filename=str(path))


def _literal(node: ast.expr) -> Any:
    """Evaluate literals, ``dict(...)`` and ``inf``."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(map(_literal, node.elts))
    if isinstance(node, ast.List):
        return list(map(_literal, node.elts))
    if isinstance(node, ast.Set):
        return set(map(_literal, node.elts))
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_literal(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_literal, node.values), strict=True))
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return math.inf if node.id == 'inf' else math.nan
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _literal(node.operand)
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == 'dict'
        and not node.args
        and all(keyword.arg for keyword in node.keywords)
    ):
        return {str(keyword.arg): _literal(keyword.value) for keyword in node.keywords}
    raise ValueError(f'line {node.lineno} is no literal')


def received_config(checkpoint: Mapping[str, Any], source: str) -> Config:
    """Read the config that mmengine, or ``ldwsccd publish``, keeps in a checkpoint.

    Args:
        checkpoint: Its content, read with ``weights_only``.
        source: The file, for messages.

    Raises:
        CheckpointError: It holds none, or one that would have to be run, or that names what is not
            registered in mmdet.
    """
    meta = checkpoint.get('meta') or {}
    hub = checkpoint.get('message_hub') or {}
    texts = [(hub.get('runtime_info') or {}).get('cfg'), meta.get('cfg'), meta.get('config')]
    text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if text is None:
        raise CheckpointError(f"checkpoint '{source}' holds no config: {_REMEDY}")
    settings = parse_config_text(text, source)
    _check_imports(settings.pop('custom_imports', None), source)
    for key in ('model', 'test_dataloader'):
        if not isinstance(settings.get(key), dict):
            raise CheckpointError(f"'{source}' holds a config without {key}: {_REMEDY}")
        _check_types(settings[key], key, source)
    if isinstance(settings.get('visualizer'), dict):
        _check_types(settings['visualizer'], 'visualizer', source)
    return Config(settings)


def _check_imports(imports: Any, source: str) -> None:
    """Refuse imports other than this package's: they would run a module."""
    names = imports.get('imports', []) if isinstance(imports, Mapping) else imports or []
    names = {names} if isinstance(names, str) else {str(name) for name in names}
    if names - _OWN_IMPORTS:
        raise CheckpointError(
            f"'{source}' holds a config that imports {', '.join(sorted(names - _OWN_IMPORTS))}: "
            f'{_REMEDY}'
        )


def _check_types(part: Any, key: str, source: str) -> None:
    """Refuse a type that is no plain registered name: mmengine would import any 'module.name'."""
    if isinstance(part, Mapping):
        for name in ('type', '_scope_'):
            value = part.get(name)
            if value is None:
                continue
            scope, _, plain = str(value).rpartition('.')
            known = scope in ('', *SCOPES) and (plain in registered() or plain in UNREGISTERED)
            if not isinstance(value, str) or not (value in SCOPES if name != 'type' else known):
                raise CheckpointError(
                    f"'{source}' holds a config with {key}.{name}={value!r}, which is not of mmdet "
                    f'or of this package: {_REMEDY}'
                )
        for name, value in part.items():
            _check_types(value, f'{key}.{name}', source)
    elif isinstance(part, (list, tuple)):
        for index, value in enumerate(part):
            _check_types(value, f'{key}[{index}]', source)
