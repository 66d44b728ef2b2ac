"""Say what became of an argument that a config of an earlier version gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...errors import ConfigError

__all__ = ['refuse_old_arguments']


def refuse_old_arguments(owner: str, given: Iterable[str], instead: Mapping[str, str]) -> None:
    """Refuse what a constructor took in ``**kwargs`` and does not know.

    Args:
        owner: Key of the part in a config, such as ``'mil_head'``.
        given: Names of the arguments that are left.
        instead: Name of each argument of earlier versions, and what to write in its place.

    Raises:
        ConfigError: There is one of earlier versions.
        TypeError: There is one that never was.

    Example:
        >>> refuse_old_arguments('mil_head', ['preset'], {'preset': 'the part mil_oicr'})
        Traceback (most recent call last):
        ldwsccd_mmdet.errors.ConfigError: mil_head.preset is no argument any more: ...
    """
    for name in given:
        if name in instead:
            raise ConfigError(
                f'{owner}.{name} is no argument any more: {instead[name]} (docs/method.md)'
            )
        raise TypeError(f"{owner} got an unexpected argument '{name}'")
