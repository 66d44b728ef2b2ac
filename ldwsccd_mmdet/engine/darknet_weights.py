"""Read Darknet's ``.weights`` of YOLOv1, YOLOv2 and YOLOv4 into our models.

The file, little-endian, is a header of three int32 (major, minor, revision) and the number of
images seen, int64 from version 0.2 on and int32 before; then float32 numbers, layer after layer of
the ``.cfg``. A convolution with batch norm stores the norm's bias, scale, mean and variance, then
the kernels (out, in, h, w); one without stores its bias, then the kernels. A local layer stores its
bias (out, h, w), then the kernels of place after place; a connected one its bias, then its weights
(out, in), or (in, out) where major or minor is above 1000.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..models.backbones.plain_darknet import PlainDarknet
from ..models.dense_heads.yolov1_head import YOLOv1Head
from ..models.dense_heads.yolov2_head import YOLOv2Head
from ..models.necks.yolov1_neck import YOLOv1Neck
from ..models.necks.yolov2_neck import YOLOv2Neck
from ..models.utils.local_conv import LocalConv2d

__all__ = [
    'DarknetLayer',
    'convert_darknet_weights',
    'darknet_layers',
    'load_darknet_weights',
    'read_darknet_weights',
    'yolov4_layers',
]


#: Backbone, neck and head of models whose modules are registered in the order of the file.
_IN_ORDER: list[tuple[type, type, type]] = [
    (PlainDarknet, YOLOv1Neck, YOLOv1Head),
    (PlainDarknet, YOLOv2Neck, YOLOv2Head),
]


class DarknetLayer(NamedTuple):
    """A layer that has numbers in the file.

    Attributes:
        name: Where it is in the model.
        conv: The convolution, or a local or connected layer.
        norm: Its batch norm, or None.
    """

    name: str
    conv: nn.Conv2d | nn.Linear | LocalConv2d
    norm: nn.Module | None

    def tensors(self) -> list[Tensor]:
        """Parameters and statistics, in the file's order."""
        conv: Any = self.conv
        norm: Any = self.norm
        if norm is None:
            return [conv.bias, conv.weight]
        return [norm.bias, norm.weight, norm.running_mean, norm.running_var, conv.weight]


def _layers(module: nn.Module, prefix: str) -> Iterator[DarknetLayer]:
    """Yield the layers of a module that have numbers, in the order of their registration."""
    inside: set[nn.Module] = set()
    for name, part in module.named_modules(prefix=prefix):
        if isinstance(part, ConvModule):
            inside.add(part.conv)
            yield DarknetLayer(name, part.conv, part.norm if part.with_norm else None)
        elif isinstance(part, (nn.Conv2d, nn.Linear, LocalConv2d)) and part not in inside:
            yield DarknetLayer(name, part, None)


def darknet_layers(model: nn.Module) -> list[DarknetLayer]:
    """List the layers of a model in the order of its ``.cfg``.

    Raises:
        ConfigError: If the model is none of which Darknet publishes weights.
    """
    parts: list[Any] = [getattr(model, key, None) for key in ('backbone', 'neck', 'bbox_head')]
    for kinds in _IN_ORDER:
        if all(isinstance(part, kind) for part, kind in zip(parts, kinds, strict=True)):
            names = ('backbone', 'neck', 'bbox_head')
            return [x for part, name in zip(parts, names, strict=True) for x in _layers(part, name)]
    return yolov4_layers(model)


def yolov4_layers(model: nn.Module) -> list[DarknetLayer]:
    """List the layers of a ``YOLOV4`` in the order of ``yolov4.cfg``.

    There the three predictions stand between the steps of the neck's way from fine to coarse maps.

    Raises:
        ConfigError: If the model is not made of our backbone, neck and head of YOLOv4.
    """
    parts: dict[str, Any] = {key: getattr(model, key, None) for key in ('neck', 'bbox_head')}
    if not (hasattr(parts['neck'], 'bottom_up') and hasattr(parts['bbox_head'], 'preds')):
        raise ConfigError(
            'model: expected type YOLOV4 with YOLOv4Neck and YOLOv4Head, Darknet19 with YOLOv2Neck '
            'and YOLOv2Head, or YOLOv1Backbone with YOLOv1Neck and YOLOv1Head, found '
            f'{type(model).__name__} with {type(parts["neck"]).__name__} and '
            f'{type(parts["bbox_head"]).__name__}'
        )
    neck, head = parts['neck'], parts['bbox_head']
    layers = list(_layers(model.backbone, 'backbone'))  # type: ignore[arg-type]
    for name in ('pre_spp', 'post_spp', 'top_down'):
        layers += _layers(getattr(neck, name), f'neck.{name}')
    for level, (conv, pred) in enumerate(zip(head.convs, head.preds, strict=True)):
        if level > 0:
            layers += _layers(neck.bottom_up[level - 1], f'neck.bottom_up.{level - 1}')
        layers += _layers(conv, f'bbox_head.convs.{level}')
        layers += _layers(pred, f'bbox_head.preds.{level}')
    return layers


def read_darknet_weights(path: str | Path) -> tuple[dict[str, int], np.ndarray]:
    """Read header and numbers of a ``.weights`` file.

    Returns:
        ``major``, ``minor``, ``revision`` and ``seen``; and the numbers, float32.

    Raises:
        CheckpointError: If the file is missing or cannot be one.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"weights '{path}' do not exist: check the path")
    content = file.read_bytes()
    start = 0
    if len(content) >= 12:
        major, minor, revision = (int(n) for n in np.frombuffer(content, '<i4', count=3))
        start = 20 if major * 10 + minor >= 2 and major < 1000 and minor < 1000 else 16
    if len(content) <= start or start == 0 or len(content) % 4:
        raise CheckpointError(
            f"'{path}' is no .weights file of Darknet: expected a header of 16 or 20 bytes and "
            f'float32 numbers, found {len(content)} bytes; download it again'
        )
    seen = int(np.frombuffer(content, '<i8' if start == 20 else '<i4', count=1, offset=12)[0])
    header = dict(major=major, minor=minor, revision=revision, seen=seen)
    return header, np.frombuffer(content, '<f4', offset=start)


@torch.no_grad()
def load_darknet_weights(
    model: nn.Module, path: str | Path, partial: bool = False
) -> tuple[dict[str, int], list[str]]:
    """Copy a ``.weights`` file into a YOLOv1, YOLOv2 or YOLOv4.

    YOLOv2's ``seen`` gets the number of images that the weights have seen.

    Args:
        model: The model.
        path: The file.
        partial: The file may end after any layer, as ``yolov4.conv.137`` does, which Darknet starts
            its trainings from; the layers after it stay as they are.

    Returns:
        The header, and the names of the layers that were read.

    Raises:
        CheckpointError: If numbers are left over or missing, or are not finite.
        ConfigError: See :func:`darknet_layers`.
    """
    header, numbers = read_darknet_weights(path)
    layers = darknet_layers(model)
    sizes = np.array([sum(tensor.numel() for tensor in layer.tensors()) for layer in layers])
    ends = np.cumsum(sizes)
    num_layers = int(np.searchsorted(ends, len(numbers), side='right'))
    whole = num_layers == len(layers) and ends[-1] == len(numbers)
    ends_on_layer = 0 < num_layers and ends[num_layers - 1] == len(numbers)
    if not whole and not (partial and ends_on_layer):
        difference = len(numbers) - int(ends[-1])
        found = f'{difference} are left over' if difference > 0 else f'{-difference} are missing'
        hint = (
            f'; the file ends after layer {num_layers}, {layers[num_layers - 1].name}: if that is '
            'meant, as with yolov4.conv.137, say so (--partial)'
            if ends_on_layer and difference < 0
            else "; check the model's num_classes (the published yolov4.weights have 80)"
        )
        raise CheckpointError(
            f"'{path}' has {len(numbers)} numbers, the model {int(ends[-1])}: {found}{hint}"
        )
    if not np.isfinite(numbers).all():
        raise CheckpointError(f"'{path}' holds numbers that are not finite: download it again")
    start, transposed = 0, header['major'] > 1000 or header['minor'] > 1000
    for layer in layers[:num_layers]:
        for tensor in layer.tensors():
            part = numbers[start : start + tensor.numel()]
            values = torch.from_numpy(part.astype(np.float32))
            if transposed and isinstance(layer.conv, nn.Linear) and tensor.dim() == 2:
                tensor.copy_(values.view(tensor.shape[::-1]).T)
            else:
                tensor.copy_(values.view_as(tensor))
            start += tensor.numel()
    seen = getattr(model.bbox_head, 'seen', None)
    if isinstance(seen, Tensor):
        seen.fill_(header['seen'])
    return header, [layer.name for layer in layers[:num_layers]]


def convert_darknet_weights(
    config: Config, weights: str | Path, out: str | Path, num_classes: int, partial: bool = False
) -> tuple[int, int]:
    """Write Darknet's weights as a checkpoint of mmdet.

    Args:
        config: Config whose model it is.
        weights: Darknet's file.
        out: The checkpoint to write.
        num_classes: Classes of the weights.
        partial: The file may end after any layer.

    Returns:
        Layers read, and images that the weights have seen.

    Raises:
        CheckpointError: See :func:`load_darknet_weights`.
    """
    register_all_modules()
    config.model.bbox_head.num_classes = num_classes
    model = MODELS.build(config.model)
    header, names = load_darknet_weights(model, weights, partial)
    state = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith(tuple(f'{name}.' for name in names)) or key == 'bbox_head.seen'
    }
    meta = dict(source=Path(weights).name, num_classes=num_classes, **header)
    torch.save(dict(meta=meta, state_dict=state), out)
    return len(names), int(header['seen'])
