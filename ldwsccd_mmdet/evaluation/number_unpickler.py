"""Unpickle numbers, texts and containers, and nothing that could run or forge anything."""

from __future__ import annotations

import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.structures import InstanceData

__all__ = ['NumberUnpickler']

_ARRAY = object()  # stands for the class numpy.ndarray, which a file may name and not call


class _Dtype:
    """A numpy type of a file: of numbers only, and of its byte order no more than that."""

    def __init__(self, spec: Any, align: Any = False, copy: Any = False) -> None:
        dtype = np.dtype(spec) if isinstance(spec, str) else None
        if dtype is None or dtype.kind not in 'biuf' or dtype.hasobject:
            raise pickle.UnpicklingError(f'numpy data of type {spec!r}: only numbers are read')
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '>', '=', '|'):
            raise pickle.UnpicklingError('a numpy type without a byte order')
        if any(value is not None for value in state[2:5]):
            raise pickle.UnpicklingError('a numpy type with fields: only numbers are read')
        if state[1] in '<>':
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    """An array whose content a file describes: numbers, as many as its shape says."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        checked = _from_bytes(data, dtype, shape, 'F' if fortran else 'C')
        content: Any = (1, checked.shape, checked.dtype, bool(fortran), bytes(data))
        super().__setstate__(content)

    def __reduce_ex__(self, protocol: Any) -> Any:  # handed on, it is an ordinary array
        return self.view(np.ndarray).__reduce_ex__(protocol)


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Stand for numpy's ``_reconstruct``: an empty array, which ``BUILD`` fills."""
    return np.ndarray.__new__(_Array, (0,), 'b')


def _scalar(dtype: Any, data: Any = None) -> Any:
    return _from_bytes(data, dtype, (1,), 'C')[0]


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    return _from_bytes(data, dtype, shape, 'F' if order == 'F' else 'C').copy()


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """Read bytes as an array; both sizes must agree."""
    if not isinstance(dtype, _Dtype) or not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError('an array that is not made of numbers')
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise pickle.UnpicklingError(f'an array of shape {shape!r}')
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise pickle.UnpicklingError(f'an array of shape {shape!r} with {len(data)} bytes')
    return np.frombuffer(data, dtype.dtype).reshape(shape, order=order)


def _load_storage(data: bytes) -> Any:
    """Rebuild a tensor's storage without running what a crafted file might name."""
    return torch.load(io.BytesIO(data), map_location='cpu', weights_only=True)


def _encode(text: str, encoding: str) -> bytes:
    """Stand for ``_codecs.encode``, by which protocol 2 writes bytes."""
    if encoding != 'latin1' or not isinstance(text, str):
        raise pickle.UnpicklingError(f'bytes in the encoding {encoding!r}')
    return text.encode(encoding)


def _no_bytes() -> bytes:
    """Stand for ``bytes()``, by which protocol 2 writes those of an empty array."""
    return b''


_KNOWN: Mapping[tuple[str, str], Any] = {
    ('collections', 'OrderedDict'): OrderedDict,
    ('mmengine.structures.instance_data', 'InstanceData'): InstanceData,
    ('torch', 'Size'): torch.Size,
    ('torch', 'device'): torch.device,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.storage', '_load_from_bytes'): _load_storage,
    ('_codecs', 'encode'): _encode,
    ('__builtin__', 'bytes'): _no_bytes,
    ('builtins', 'bytes'): _no_bytes,
    ('__builtin__', 'set'): set,
    ('builtins', 'set'): set,
    ('numpy', 'ndarray'): _ARRAY,
    ('numpy', 'dtype'): _Dtype,
    **{
        (f'numpy.{core}.multiarray', name): function
        for core in ('core', '_core')
        for name, function in (('_reconstruct', _reconstruct), ('scalar', _scalar))
    },
    ('numpy.core.numeric', '_frombuffer'): _from_buffer,
    ('numpy._core.numeric', '_frombuffer'): _from_buffer,
}


class NumberUnpickler(pickle.Unpickler):
    """An unpickler that knows tensors, arrays of numbers and plain containers, and nothing else.

    What a file says of an array is compared with its bytes before numpy sees it: an array of
    objects, or one larger than its bytes, would make numpy follow pointers that the file forged.

    Raises:
        pickle.UnpicklingError: The file names anything else.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Answer what a file may name; see :class:`pickle.Unpickler`."""
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f'{module}.{name} is not allowed in a file of numbers')
        return _KNOWN[module, name]
