"""Read a config file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError

from ..errors import ConfigError

__all__ = ['load_config']


def load_config(path: str, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config file and override settings in it.

    Args:
        path: The config file.
        options: ``{'key.of.setting': value}``, as ``--cfg-options`` gives them.

    Raises:
        ConfigError: The file, or a base of it, is missing or is not a config.
    """
    if not Path(path).is_file():
        raise ConfigError(f"config file '{path}' does not exist: check the path")
    try:
        config = Config.fromfile(path)
    except (FileNotFoundError, ConfigParsingError, SyntaxError) as error:
        raise ConfigError(f"config file '{path}' cannot be read: {error}") from error
    if options:
        config.merge_from_dict(dict(options))
    return config
