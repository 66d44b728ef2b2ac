"""The classes that a checkpoint says it was trained for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ['checkpoint_classes']


def checkpoint_classes(meta: Any) -> tuple[str, ...] | None:
    """Read class names from the ``meta`` of a checkpoint, of mmengine or of mmdet 2.

    Args:
        meta: What stands there, of whatever type; mmdet 2 has ``CLASSES`` in it.

    Returns:
        The names in the order of the labels; None where none are named.
    """
    if not isinstance(meta, Mapping):
        return None
    of_data = meta.get('dataset_meta')
    named: Mapping[str, Any] = of_data if isinstance(of_data, Mapping) else {}
    classes = named.get('classes', named.get('CLASSES', meta.get('CLASSES')))
    if not isinstance(classes, (list, tuple)):
        return None
    return tuple(map(str, classes)) or None
