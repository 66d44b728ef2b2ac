"""Turn ImageNet's VGG into weights of SSD's backbone: FC6 and FC7 become conv6 and conv7."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError, check_argument
from .checkpoint_file import read_checkpoint

__all__ = ['CONV6_KERNEL', 'convert_vgg_weights', 'decimate', 'vgg_to_ssd']

#: Rows and columns of conv6, out of FC6's 7.
CONV6_KERNEL = 3


def decimate(weight: Tensor, steps: Sequence[int]) -> Tensor:
    """Keep every n-th entry of each dimension, the first one included.

    Args:
        weight: (d_1, ..., d_k).
        steps: n of each of the k dimensions; 1 keeps all.

    Returns:
        (ceil(d_1 / n_1), ..., ceil(d_k / n_k)).
    """
    return weight[tuple(slice(None, None, step) for step in steps)]


def vgg_to_ssd(
    state: Mapping[str, Tensor], keep: int = 4, std: Sequence[float] | None = None
) -> dict[str, Tensor]:
    r"""Make the state dict of ``ScaledSSDVGG`` of torchvision's VGG without batch norm.

    As SSD does (Liu et al., 2016, section 3: "we convert fc6 and fc7 to convolutional layers,
    subsample parameters from fc6 and fc7"): with FC6's weight W as a 7 x 7 convolution over the
    last map, and conv6 at a dilation of 6 over a map twice as dense,

    .. math::
        conv6_{o, c, i, j} = W_{n o, c, 3 i, 3 j}, \qquad conv7_{o, c} = V_{n o, n c}

    where V is FC7's and n is ``keep``: every fourth output, and of 7 x 7 taps the nine that stand
    three apart. Kept numbers are not rescaled for those left out. So conv6 gives what FC6 gives of
    a map that is zero at all other taps, and conv7 what FC7 gives of every fourth input.

    Args:
        state: ``features.N.weight`` and ``.bias``, ``classifier.0`` and ``classifier.3``.
        keep: n: of 4096 channels, 4 keeps 1024.
        std: Standard deviations R, G, B by which the weights expect images to be divided. Given,
            they go into the first convolution: images of std 1 give the same maps.

    Returns:
        ``features.N.weight`` and ``.bias``; conv6 and conv7 come after the 3 x 3 pooling.

    Raises:
        CheckpointError: A weight is missing, or FC6 has no 7 x 7 taps for the last map.
        ConfigError: ``keep`` is less than 1, or ``std`` no three positive numbers.
    """
    check_argument(keep >= 1, 'keep', '1 or more', keep)
    three = std is None or (len(std) == 3 and min(std) > 0)
    check_argument(three, 'std', 'three positive numbers', std)
    features = {key: value for key, value in state.items() if key.startswith('features.')}
    needed = [f'classifier.{i}.{kind}' for i in (0, 3) for kind in ('weight', 'bias')]
    missing = [key for key in needed if key not in state] or ([] if features else ['features.0'])
    if missing or any('running_mean' in key for key in features):
        found = f'no {", ".join(missing)}' if missing else 'norm layers'
        raise CheckpointError(
            f'the weights: expected those of a VGG without batch norm as torchvision has them, '
            f'found {found}'
        )
    out = dict(features)
    if std is not None:
        divided = features['features.0.weight'] / torch.tensor(std).view(1, 3, 1, 1)
        out['features.0.weight'] = divided
    last = max(int(key.split('.')[1]) for key in features)
    channels = features[f'features.{last}.weight'].shape[0]
    fc6, fc7 = state['classifier.0.weight'], state['classifier.3.weight']
    if fc6.shape[1] != channels * 49:
        raise CheckpointError(
            f'classifier.0.weight: expected {channels} x 7 x 7 inputs, found {fc6.shape[1]}'
        )
    step = (7 - 1) // (CONV6_KERNEL - 1)
    # after the last convolution come its ReLU and the pooling, after conv6 its ReLU
    conv6, conv7 = last + 3, last + 5
    kernel = fc6.view(len(fc6), channels, 7, 7)
    out[f'features.{conv6}.weight'] = decimate(kernel, (keep, 1, step, step)).clone()
    out[f'features.{conv6}.bias'] = decimate(state['classifier.0.bias'], (keep,)).clone()
    out[f'features.{conv7}.weight'] = decimate(fc7, (keep, keep))[..., None, None].clone()
    out[f'features.{conv7}.bias'] = decimate(state['classifier.3.bias'], (keep,)).clone()
    return out


def convert_vgg_weights(
    weights: str | Path, out: str | Path, std: Sequence[float] | None = None
) -> int:
    """Write torchvision's VGG as weights for the backbone of SSD.

    Args:
        weights: The file; a state dict, or a dict with ``state_dict``.
        out: The checkpoint to write, for ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        std: See :func:`vgg_to_ssd`.

    Returns:
        Numbers written.

    Raises:
        CheckpointError: The file is missing or no such weights.
    """
    if not Path(weights).is_file():
        raise CheckpointError(f"weights '{weights}' do not exist: check the path")
    content = read_checkpoint(weights)['state_dict']
    try:
        state = vgg_to_ssd(content, std=std)
    except CheckpointError as error:
        raise CheckpointError(f"'{weights}': {error}") from error
    torch.save(dict(meta=dict(source=Path(weights).name), state_dict=state), out)
    return sum(value.numel() for value in state.values())
