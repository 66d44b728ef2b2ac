"""The pictures behind a batch of normalised images."""

from typing import Any

from torch import Tensor

from ...errors import ConfigError

__all__ = ['restored_images']


def restored_images(batch_inputs: Tensor, data_preprocessor: Any, asked_by: str) -> Tensor:
    """Undo the normalisation.

    Args:
        batch_inputs: Normalised images (N, 3, H, W).
        data_preprocessor: What normalised them: its ``mean`` and ``std``.
        asked_by: Who needs the pictures, for messages.

    Returns:
        RGB, uint8 (N, 3, H, W), on the device of ``batch_inputs``.

    Raises:
        ConfigError: If there is no ``data_preprocessor``.
    """
    if data_preprocessor is None:
        raise ConfigError(
            f'{asked_by}: expected the data_preprocessor that normalised the images, found None; '
            'hand over model.data_preprocessor'
        )
    x = batch_inputs.float()
    if getattr(data_preprocessor, '_enable_normalize', True):
        x = x * data_preprocessor.std.to(x) + data_preprocessor.mean.to(x)
    # mmdet's loader gives BGR, which bgr_to_rgb turns round
    if not getattr(data_preprocessor, '_channel_conversion', True):
        x = x.flip(1)
    return x.round().clamp(0, 255).byte()
