"""What the registries of mmengine and mmdet hold, under plain names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import mmdet.registry
import mmdet.utils
import mmengine.registry
from mmengine.registry import Registry

__all__ = ['SCOPES', 'UNREGISTERED', 'find_registered', 'registered']

#: Scopes that may stand before a name: ``'mmdet.RetinaNet'``.
SCOPES = ('mmdet', 'mmengine', 'mmcv', 'ldwsccd_mmdet')
#: Names that mmdet and mmcv look up by themselves, some by evaluating them.
UNREGISTERED = frozenset({'nms', 'soft_nms', 'RoIAlign', 'RoIPool'})


@lru_cache(maxsize=1)
def registered() -> Mapping[str, tuple[Callable[..., Any], ...]]:
    """All registered classes and functions by name, this package's among them.

    A name that mmdet has registered stands for mmdet's alone, as its scope comes first.
    """
    mmdet.utils.register_all_modules(init_default_scope=False)
    found: dict[str, tuple[Callable[..., Any], ...]] = {}
    for module in (mmengine.registry, mmdet.registry):
        of_module: dict[str, list[Callable[..., Any]]] = {}
        for item in vars(module).values():
            if isinstance(item, Registry):
                for name, kind in item.module_dict.items():
                    of_module.setdefault(name, []).append(kind)
        found.update({name: tuple(dict.fromkeys(kinds)) for name, kinds in of_module.items()})
    return found


def find_registered(kind: Any) -> tuple[Callable[..., Any], ...]:
    """Find what a ``type`` of a config stands for.

    Args:
        kind: A name, with a scope before it or not, or the class itself.

    Returns:
        The classes of that name, one a registry; none where it is not known.
    """
    if callable(kind):
        return (kind,)
    if not isinstance(kind, str):
        return ()
    scope, _, plain = kind.rpartition('.')
    if scope and scope.split('.')[0] not in SCOPES:
        return ()
    if plain not in registered():
        registered.cache_clear()  # another config may have imported it since
    return registered().get(plain, ())
