"""YAML and pickle files, which mmengine would let run code, read as data.

mmengine 0.10.7 reads ``.yaml`` configs (and bases) with PyYAML's full loader, whose object tags
call any function, and ``.pkl`` files, such as the ``proposal_file`` of a data set, with plain
``pickle``. The readers here take their place, through mmengine's own register.
"""

from __future__ import annotations

import pickle
from typing import Any

import yaml  # type: ignore[import-untyped]
from mmengine.fileio import register_handler
from mmengine.fileio.handlers.pickle_handler import PickleHandler
from mmengine.fileio.handlers.yaml_handler import YamlHandler

from ..errors import ConfigError, DatasetError
from ..evaluation.number_unpickler import NumberUnpickler

__all__ = ['register_received_files']

_MOST_VALUES = 1_000_000  # of a YAML file, after its aliases are followed
_SafeLoader = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


class _PlainYamlHandler(YamlHandler):
    """Reads plain values; object tags, and aliases that grow without bound, are refused."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Read YAML.

        Raises:
            ConfigError: It has tags of Python objects, is no YAML, or is a bomb of aliases.
        """
        kwargs['Loader'] = _SafeLoader
        try:
            content = super().load_from_fileobj(file, **kwargs)
        except (yaml.YAMLError, RecursionError) as error:
            reason = ' '.join(str(error).split())
            raise ConfigError(
                f'the YAML file cannot be read as plain values ({reason}): write lists and texts, '
                'without tags such as !!python/...'
            ) from error
        if _num_values(content, {}) > _MOST_VALUES:
            raise ConfigError(
                f'the YAML file has aliases (*name) that make more than {_MOST_VALUES} values of '
                'it, or contain themselves: write it without them'
            )
        return content


def _num_values(part: Any, known: dict[int, float]) -> float:
    """Count values, one that aliases repeat as often as it is repeated; a circle is infinite."""
    if not isinstance(part, (dict, list)):
        return 1
    if id(part) not in known:
        known[id(part)] = float('inf')
        items = part.values() if isinstance(part, dict) else part
        known[id(part)] = 1 + sum(_num_values(item, known) for item in items)
    return known[id(part)]


class _NumberPickleHandler(PickleHandler):
    """Reads tensors, arrays of numbers and plain containers."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        """Read a pickle.

        Raises:
            DatasetError: It holds anything else, or is cut short.
        """
        try:
            return NumberUnpickler(file, **kwargs).load()
        except (pickle.UnpicklingError, EOFError) as error:
            name = getattr(file, 'name', 'the .pkl file')
            raise DatasetError(
                f"'{name}' cannot be read as numbers and plain containers ({error}): nothing in "
                'it is run; write it again, of arrays, tensors, lists and dicts'
            ) from error


def register_received_files() -> None:
    """Register the readers with mmengine, in place of its own."""
    register_handler(['yaml', 'yml'])(_PlainYamlHandler)
    register_handler(['pkl', 'pickle'])(_NumberPickleHandler)
