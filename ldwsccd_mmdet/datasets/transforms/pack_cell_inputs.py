"""Hand an image and its labels to the model, with what image labels and mined boxes teach by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
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

    Where ``gt_ignore_flags`` holds fractions (see :class:`LoadCellAnnotations`), ``gt_instances``
    gets ``probs`` (n,), float32: 1 for annotated boxes, less for mined ones. Boxes whose flag is 1
    are ignored, as ever.

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
    mapping_table = {**PackDetInputs.mapping_table, 'gt_probs': 'probs'}

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack one image."""
        flags = results.get('gt_ignore_flags')
        if flags is not None and np.issubdtype(np.asarray(flags).dtype, np.floating):
            results = {
                **results,
                'gt_ignore_flags': flags >= 1,
                'gt_probs': (1 - flags).astype(np.float32),
            }
        return super().transform(results)
