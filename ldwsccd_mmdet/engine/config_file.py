"""Read a config file."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE

from ..errors import ConfigError, InputError
from .config_check import TOP_LEVEL, check_config, check_options

__all__ = [
    'TEACHING_PARTS',
    'config_folder',
    'drop_teacher',
    'find_config',
    'load_config',
    'read_options',
]

PACKAGE = Path(__file__).resolve().parents[1]
# mmengine must know a scope before `_base_ = 'scope::folder/name.py'` works. Of a distribution it
# takes the place where its metadata lies, wrong for an editable install; of a module the import
# system's.
MODULE2PACKAGE.setdefault(PACKAGE.name, f'{PACKAGE.name}.version')

#: Parts of a model that teach it, and are not there at test.
TEACHING_PARTS = ('teacher', 'distillation', 'logit_distillation')


def drop_teacher(model: dict[str, Any]) -> None:
    """Take the teacher out of a model's config, and all that it teaches."""
    model.update({part: None for part in TEACHING_PARTS if model.get(part) is not None})


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
    """Read ``KEY=VALUE`` texts as mmengine's ``--cfg-options`` does.

    Raises:
        ConfigError: Brackets or quotes of a value are not closed.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        parser = argparse.ArgumentParser()
        parser.add_argument('--options', nargs='+', action=DictAction)
        try:
            options.update(parser.parse_args(['--options', pair]).options)
        except (AssertionError, ValueError, IndexError) as error:
            raise ConfigError(f"--cfg-options: '{pair}' cannot be read: {error}") from error
    return options


def load_config(
    path: str,
    options: Mapping[str, Any] | Sequence[str] | None = None,
    need: Sequence[str] = (),
) -> Config:
    """Read a config file, override settings in it, and check what it sets.

    Args:
        path: The config file, see :func:`find_config`.
        options: ``{'key.of.setting': value}``, or the texts that ``--cfg-options`` gives.
        need: Settings without which it is of no use.

    Raises:
        ConfigError: The file, or a base of it, is missing or is not a config; it lacks what is
            needed; or a setting is wrong, see :func:`~.config_check.check_config`.
    """
    file = find_config(path)
    try:
        config = Config.fromfile(file)
    except InputError as error:  # of what the config imports, or of a base: it says more
        if file.name in str(error):
            raise
        raise ConfigError(f"config file '{path}': {error}") from error
    except ImportError as error:
        raise ConfigError(
            f"config file '{path}' needs {_missing_package(error)}: install it in the environment "
            'of this command, or give a config without it'
        ) from error
    except Exception as error:  # its text is run, and can fail in any way
        raise ConfigError(f"config file '{path}' cannot be read: {_reason(error)}") from error
    if options:
        given = dict(options) if isinstance(options, Mapping) else read_options(options)
        check_options(given, config)
        _set_options(config, given)
    if not TOP_LEVEL & set(config):
        raise ConfigError(
            f"config file '{path}' holds no setting that is read: check that it is a config"
        )
    lacking = [key for key in need if not config.get(key)]
    if lacking:
        raise ConfigError(
            f"config file '{path}' has no {' and no '.join(lacking)}: check that it is the right "
            f'file, or add {lacking[0]}=dict(type=...)'
        )
    check_config(config)
    return config


def _set_options(config: Config, options: Mapping[str, Any]) -> None:
    """Override settings; one that does not go into its place is named."""
    for key, value in options.items():
        _check_place(config, key)
        try:
            config.merge_from_dict({key: value})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ConfigError(
                f'{key}={value!r} does not fit into the config: {_reason(error)}'
            ) from error


def _check_place(config: Config, key: str) -> None:
    """Check that what a key leads through are dicts, and lists by number."""
    part: Any = config
    names = key.split('.')
    for index, name in enumerate(names):
        place = '.'.join(names[:index])
        if isinstance(part, (list, tuple)):
            if isinstance(part, tuple):
                raise ConfigError(f'{key}: {place} is {part!r}: set it as a whole, {place}=(...)')
            if not name.isdigit() or int(name) >= len(part):
                raise ConfigError(
                    f'{key}: {place} is a list of {len(part)}: expected a number from 0 to '
                    f"{len(part) - 1} after it, found '{name}'"
                )
            part = part[int(name)]
        elif isinstance(part, (Mapping, Config)):
            if name not in part:
                return
            part = part[name]
        else:
            raise ConfigError(f'{key}: {place} is {part!r}, not a dict: set it as a whole')


def _missing_package(error: BaseException) -> str:
    """Name what could not be imported; mmengine hides it behind a list of folders."""
    reason: BaseException | None = error
    while reason is not None:
        if isinstance(reason, ModuleNotFoundError) and reason.name:
            return f"the package '{reason.name.partition('.')[0]}', which is not installed"
        last, reason = reason, reason.__cause__ or reason.__context__
    return f'what cannot be imported ({_reason(last)})'


def _reason(error: BaseException) -> str:
    """Say an error in one line of bounded length."""
    whole = isinstance(error, (SyntaxError, OSError, UnicodeError)) or not error.args
    text = ' '.join(str(error if whole else error.args[0]).split())
    merged = re.match(r"(\w+)=.* in child config cannot inherit .* type <class '(\w+)'>", text)
    if merged:
        return (
            f"'{merged[1]}' is a dict here and a {merged[2]} in the base: write the whole "
            f'{merged[2]}, or add _delete_=True to the dict'
        )
    if len(text) > 400:
        text = f'{text[:200]} ... {text[-190:]}'
    known = isinstance(error, (SyntaxError, OSError, ImportError, ValueError, RuntimeError))
    return text if known else f'{type(error).__name__}: {text}'
