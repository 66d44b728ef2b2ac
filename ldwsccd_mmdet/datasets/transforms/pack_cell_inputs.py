"""Hand an image and its labels to the model, with what image labels teach by."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

__all__ = ['PackCellInputs']


@TRANSFORMS.register_module()
class PackCellInputs(PackDetInputs):
    """Pack as ``PackDetInputs`` does, and hand on more of what is known of the image.

    Beside mmdet's own keys, these go to ``data_samples.metainfo`` where the pipeline has them:

    - ``image_labels``: indices of the classes that occur in the image, and ``supervision``, what
      may teach in it; both are read by :class:`CervicalCellDataset`;
    - ``border``: how ``RandomCenterCropPad`` padded the image, which CenterNet's head wants.

    Args:
        meta_keys: The keys. Default: :attr:`META_KEYS`.
    """

    META_KEYS = (
        'img_id',
        'img_path',
        'ori_shape',
        'img_shape',
        'scale_factor',
        'flip',
        'flip_direction',
        'image_labels',
        'supervision',
        'border',
    )

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))
