"""Read a config file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE, ConfigParsingError

from ..errors import ConfigError, InputError

__all__ = ['config_folder', 'find_config', 'load_config', 'read_options']

PACKAGE = Path(__file__).resolve().parents[1]
# mmengine must know a scope before `_base_ = 'scope::folder/name.py'` works. Of a distribution it
# takes the place where its metadata lies, wrong for an editable install; of a module the import
# system's.
MODULE2PACKAGE.setdefault(PACKAGE.name, f'{PACKAGE.name}.version')


def config_folder() -> Path:
    """Folder of the configs that come with the package: of an installed one, or of the clone."""
    for folder in (PACKAGE.parent / 'configs', PACKAGE / '.mim' / 'configs'):
        if (folder / 'ldwsccd_ssd512.py').is_file():
            return folder
    raise ConfigError(
        f"the configs of ldwsccd_mmdet are not in '{PACKAGE}': install the package again"
    )


def find_config(path: str) -> Path:
    """Find a config: as a path, or by its name among those that come with the package.

    Args:
        path: A path, or a name such as ``ldwsccd_ssd512.py`` or ``ssd/ssd300_vgg16_adamw_ccd.py``,
            with ``configs/`` before it or not.

    Raises:
        ConfigError: There is none, or several have that name.
    """
    plain = Path(path)
    if plain.is_file():
        return plain
    if not plain.is_absolute() and plain.suffix == '.py':
        parts = plain.parts[1:] if plain.parts[0] == 'configs' else plain.parts
        folder = config_folder()
        if folder.joinpath(*parts).is_file():
            return folder.joinpath(*parts)
        found = sorted(folder.rglob(plain.name)) if len(parts) == 1 else []
        if len(found) == 1:
            return found[0]
        if found:
            listed = ', '.join(str(file.relative_to(folder)) for file in found)
            raise ConfigError(f"config file '{path}': several have that name ({listed}): say which")
    raise ConfigError(f"config file '{path}' does not exist: check the path")


def read_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts as mmengine's ``--cfg-options`` does."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    return parser.parse_args(['--options', *pairs]).options


def load_config(path: str, options: Mapping[str, Any] | Sequence[str] | None = None) -> Config:
    """Read a config file and override settings in it.

    Args:
        path: The config file, see :func:`find_config`.
        options: ``{'key.of.setting': value}``, or the texts that ``--cfg-options`` gives.

    Raises:
        ConfigError: The file, or a base of it, is missing or is not a config.
    """
    file = find_config(path)
    try:
        config = Config.fromfile(file)
    except InputError:  # of what the config imports: it says more
        raise
    except (
        FileNotFoundError,
        ModuleNotFoundError,
        ConfigParsingError,
        SyntaxError,
        ValueError,
    ) as error:
        raise ConfigError(f"config file '{path}' cannot be read: {error}") from error
    if options:
        given = dict(options) if isinstance(options, Mapping) else read_options(options)
        config.merge_from_dict(given)
    return config
