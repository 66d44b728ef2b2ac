"""Checkpoints from a file or an address, read by torch's safe loader.

mmengine 0.10.7 hands addresses to ``torch.hub``, which reads what it fetched with
``weights_only=False``: a file from elsewhere could run code. The loaders here take the place of
mmengine's, through its own :class:`mmengine.runner.CheckpointLoader`, for

- files, see :mod:`.weights_only`;
- ``http://`` and ``https://``;
- ``open-mmlab://NAME`` and ``openmmlab://NAME``, names of mmengine's own list;
- ``torchvision://NAME``, which then needs torchvision only for networks that are not in
  :data:`TORCHVISION`.

Files stay in torch's cache (``TORCH_HOME``), as before. The text of a config that old checkpoints
hold in ``meta['config']`` is left out: mmengine's ``resume`` would run it.
"""

from typing import Any

import torch.distributed
from mmengine.dist import get_dist_info
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_external_models,
    get_torchvision_models,
)
from torch.hub import load_state_dict_from_url

from .weights_only import load_from_local, without_config_text

__all__ = ['TORCHVISION', 'load_from_address', 'register_checkpoint_addresses']

TORCHVISION = {
    'mobilenet_v2': 'mobilenet_v2-b0353104.pth',
    'resnet18': 'resnet18-f37072fd.pth',
    'resnet34': 'resnet34-b627a593.pth',
    'resnet50': 'resnet50-0676ba61.pth',
    'resnet101': 'resnet101-63fe2227.pth',
    'vgg16': 'vgg16-397923af.pth',
}
"""ImageNet weights that mmdet's base configs name, at PyTorch's own address."""


def load_from_address(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Fetch a checkpoint, once a machine, and read it with ``weights_only``.

    Args:
        filename: Its address, ``http://...`` or ``https://...``.
        map_location: As ``torch.load``.

    Raises:
        pickle.UnpicklingError: If it holds more than tensors and what
            :func:`allow_checkpoint_globals` allows.
        urllib.error.URLError: If it cannot be fetched.
    """
    rank, world_size = get_dist_info()
    if rank > 0:  # the first process fetches it for all
        torch.distributed.barrier()
    checkpoint = load_state_dict_from_url(filename, map_location=map_location, weights_only=True)
    if rank == 0 and world_size > 1:
        torch.distributed.barrier()
    return without_config_text(checkpoint)


def _load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    name = filename.removeprefix('torchvision://')
    if name in TORCHVISION:
        address = f'https://download.pytorch.org/models/{TORCHVISION[name]}'
    else:
        address = get_torchvision_models()[name]
    return load_from_address(address, map_location)


def _load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    address = get_external_models()[filename.split('://', 1)[1]]
    return load_from_address(address, map_location)


def register_checkpoint_addresses() -> None:
    """Register the loaders with mmengine, in place of its own."""
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_address),
        ('torchvision://', _load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), _load_from_openmmlab),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)
