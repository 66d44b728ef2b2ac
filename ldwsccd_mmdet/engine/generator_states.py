"""The states of all random generators of a process, as a checkpoint may hold them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

__all__ = ['generator_states', 'set_generator_states']


def generator_states() -> dict[str, Any]:
    """Take the states of Python's, numpy's and torch's generators, of all its devices.

    Returns:
        Numbers, text and tensors only, which ``weights_only`` reads.
    """
    name, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        'python': random.getstate(),
        # torch has no uint32 everywhere
        'numpy': (name, torch.from_numpy(np.asarray(keys, np.int64)), position, has_gauss, gauss),
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_generator_states(states: Mapping[str, Any]) -> None:
    """Put the generators into states of :func:`generator_states`.

    Devices that are no longer there are passed over.
    """
    version, inner, gauss = states['python']
    random.setstate((version, tuple(inner), gauss))
    name, keys, *rest = states['numpy']
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if torch.cuda.is_available():
        for device, state in enumerate(states['cuda'][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state.cpu(), device)
