"""The heads of a model's config that tell classes apart."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, MutableMapping
from typing import Any

from mmdet.registry import MODELS

__all__ = ['class_heads', 'set_num_classes']


def class_heads(
    model: MutableMapping[str, Any], key: str = 'model'
) -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    """Yield key and config of each head that has ``num_classes``, or takes it.

    A proposal head tells objects from background, and a teacher has its own config: neither counts.

    Args:
        model: Config of a detector, or of a head with heads in it.
        key: Its key, for messages.
    """
    for name, part in model.items():
        if not name.endswith('head') or name == 'rpn_head':
            continue
        parts = part if isinstance(part, (list, tuple)) else [part]
        for index, head in enumerate(parts):
            if not isinstance(head, MutableMapping):
                continue
            head_key = f'{key}.{name}' + (f'[{index}]' if parts is part else '')
            yield from class_heads(head, head_key)
            if 'num_classes' in head or (
                isinstance(head.get('type'), str) and _takes_num_classes(head['type'])
            ):
                yield head_key, head


def set_num_classes(model: MutableMapping[str, Any], num_classes: int) -> list[str]:
    """Set the number of classes of all heads.

    Args:
        model: Config of a detector; changed.
        num_classes: Without background.

    Returns:
        The keys whose value was another.
    """
    changed = []
    for key, head in class_heads(model):
        if head.get('num_classes') != num_classes:
            head['num_classes'] = num_classes
            changed.append(f'{key}.num_classes')
    return changed


def _takes_num_classes(type_name: str) -> bool:
    """Tell whether a model class has an argument ``num_classes``, its own or an ancestor's."""
    kind = MODELS.get(type_name)
    if kind is None:  # the registry says so better, when it builds the model
        return False
    constructors = (vars(cls).get('__init__') for cls in inspect.getmro(kind) if cls is not object)
    return any('num_classes' in inspect.signature(init).parameters for init in constructors if init)
