"""A module that stands in for ``mmcv._ext`` where mmcv has no compiled operators (mmcv-lite)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NoReturn

from ..errors import OperatorError
from .nms import nms
from .roi_align import roi_align_backward, roi_align_forward
from .roi_pool import roi_pool_backward, roi_pool_forward
from .sigmoid_focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from .soft_nms import softnms

NAME = 'mmcv._ext'
OPERATORS: dict[str, Callable[..., Any]] = {
    operator.__name__: operator
    for operator in (
        nms,
        softnms,
        roi_align_forward,
        roi_align_backward,
        roi_pool_forward,
        roi_pool_backward,
        sigmoid_focal_loss_forward,
        sigmoid_focal_loss_backward,
    )
}
COMPILED = (
    'install mmcv with compiled operators for this torch: `MMCV=compiled make env` in a clone, '
    'else see docs/install.md'
)


class _StandIn(ModuleType):
    """Has every name that ``mmcv.ops`` asks for at import; most only say what is missing."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith('__'):
            raise AttributeError(f'module {self.__name__!r} has no attribute {name!r}')

        def missing(*args: object, **kwargs: object) -> NoReturn:
            raise OperatorError(
                f'mmcv operator {name}: expected compiled operators, found mmcv without them; '
                f'in plain torch there are {", ".join(sorted(OPERATORS))}; {COMPILED}'
            )

        return missing


def install_stand_in() -> bool:
    """Let ``mmcv.ops`` find operators in plain torch, if mmcv has no compiled ones.

    Must run before ``mmcv.ops`` is first imported, thus before mmdet. Compiled operators, where
    there, are left alone.

    Returns:
        Whether the stand-in is what ``mmcv.ops`` uses.

    Raises:
        OperatorError: If there is no mmcv, or its compiled operators do not load (they were made
            for another torch).
    """
    if NAME in sys.modules:
        return is_stand_in()
    try:
        spec = find_spec(NAME)
    except ModuleNotFoundError as error:
        if error.name != 'mmcv':
            raise
        raise OperatorError(
            'mmcv: expected it beside mmdet, found none; `pip install "ldwsccd_mmdet[lite]"` '
            'brings the pure Python one (no compiler needed), "ldwsccd_mmdet[ops]" the compiled one'
        ) from None
    if spec is not None:
        _load_compiled()
        return False
    module = _StandIn(NAME, __doc__)
    module.__spec__ = ModuleSpec(NAME, loader=None, origin=__file__)
    module.__dict__.update(
        OPERATORS,
        get_compiler_version=lambda: 'none: operators in plain torch (ldwsccd_mmdet.ops)',
        get_compiling_cuda_version=lambda: 'not available',
    )
    sys.modules[NAME] = module
    # as an import does, for `import mmcv._ext`
    vars(importlib.import_module('mmcv'))['_ext'] = module
    return True


def is_stand_in() -> bool:
    """Whether ``mmcv.ops`` uses the operators in plain torch."""
    return isinstance(sys.modules.get(NAME), _StandIn)


def _load_compiled() -> None:
    try:
        importlib.import_module(NAME)
    except ImportError as error:
        raise OperatorError(
            f'mmcv._ext: expected operators compiled for this torch, found some that do not load '
            f'({error}); {COMPILED}; or replace mmcv by mmcv-lite, whose operators are plain torch'
        ) from error
