"""Numbers come back; arrays of objects, and those larger than their bytes, are refused."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from ldwsccd_mmdet.evaluation.number_unpickler import NumberUnpickler


def load(content: bytes) -> Any:
    return NumberUnpickler(io.BytesIO(content)).load()


@pytest.mark.parametrize('protocol', range(2, 6))
@pytest.mark.parametrize(
    'array',
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(3, dtype='>f4'),
        np.zeros((0, 4), np.float32),
        np.array([True, False]),
        np.float64(3.5),
        np.int32(7),
    ],
)
def test_numbers_come_back(array: Any, protocol: int) -> None:
    found = load(pickle.dumps({'a': array}, protocol=protocol))['a']
    np.testing.assert_array_equal(found, array)
    # numpy brings an array to the byte order of the machine
    kinds = [np.asarray(value).dtype.newbyteorder('=') for value in (found, array)]
    assert kinds[0] == kinds[1]


def test_tensors_and_containers_come_back() -> None:
    content = [{'img_id': 3, 'boxes': torch.arange(4.0), 'name': 'a', 'shape': (1, 2)}]
    found = load(pickle.dumps(content))
    assert torch.equal(found[0].pop('boxes'), torch.arange(4.0))
    assert found == [{'img_id': 3, 'name': 'a', 'shape': (1, 2)}]


class Raw:
    """Pickled as ``numpy``'s array of this state, which numpy itself would not write."""

    def __init__(self, dtype: Any, shape: Any, data: Any) -> None:
        self.state = (1, shape, dtype, False, data)

    def __reduce__(self):
        function, arguments, _ = np.zeros(1).__reduce__()
        return function, arguments, self.state


@pytest.mark.parametrize(
    'forged',
    [
        np.array([1, 'a', None], dtype=object),
        np.array([(1, 2.0)], dtype=[('a', int), ('b', float)]),
        np.array(['a', 'b']),
        Raw(np.dtype('O'), (1,), [b'\x41' * 8]),
        Raw(np.dtype('O'), (1,), b'\x41' * 8),
        Raw(np.dtype('f8'), (1000000,), b'\x41' * 8),
        Raw(np.dtype('f8'), (-1,), b'\x41' * 8),
        Raw(np.dtype('f8'), (1,), [1.0]),
        Raw('f8', (1,), b'\x41' * 8),
        slice(1),
        np.ndarray,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_refused(forged: Any) -> None:
    content = pickle.dumps(forged, protocol=2)
    if forged is np.ndarray:
        assert load(content) is not np.ndarray  # a name alone, which cannot be called
        content = b'cnumpy\nndarray\n(I1000000000\nS"O"\ntR.'
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        load(content)


def test_type_cannot_be_given_fields_later() -> None:
    """``numpy.dtype.__setstate__`` could turn a type of numbers into one of pointers."""
    state = (3, '<', None, ('a',), {'a': (np.dtype('f8'), 0)}, 8, 8, 63)

    class Forged:
        def __reduce__(self):
            return np.dtype, ('f8', False, True), state

    with pytest.raises(pickle.UnpicklingError, match='only numbers'):
        load(pickle.dumps(Forged(), protocol=2))
