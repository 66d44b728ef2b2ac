"""What need not be installed: asked for in one place, with the extra that brings it."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from .errors import InputError

__all__ = ['HAS_MMDET', 'require']

#: Without mmdet the package still predicts with exported models; it then registers nothing.
HAS_MMDET = importlib.util.find_spec('mmdet') is not None


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module of an extra, or say how to get it.

    Args:
        module: Its name, as in ``import``.
        extra: The extra of this package that brings it.
        purpose: What it is needed for, as the start of a sentence.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{purpose} needs the package '{module.partition('.')[0]}', which cannot be imported "
            f"({error}): pip install 'ldwsccd_mmdet[{extra}]'"
        ) from error
