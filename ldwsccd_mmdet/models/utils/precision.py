"""The float32 rule: softmax, logarithms and sums of losses are never computed in half precision."""

import torch
from torch import Tensor

__all__ = ['at_least_float32', 'float_dtype', 'no_autocast']


def float_dtype(like: Tensor) -> torch.dtype:
    """Give float64 for float64, and float32 for all else."""
    return torch.float64 if like.dtype == torch.float64 else torch.float32


def at_least_float32(x: Tensor) -> Tensor:
    """Turn half precision into float32; float64 stays as it is, for gradcheck."""
    return x.to(float_dtype(x))


def no_autocast(like: Tensor) -> torch.autocast:
    """Make a context without autocast on the device of a tensor."""
    return torch.autocast(device_type=like.device.type, enabled=False)
