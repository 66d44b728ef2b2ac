"""Pack an image with its boxes, labels of the whole image, and mined boxes."""

from collections.abc import Sequence

import numpy as np
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS

__all__ = ['PackCellInputs']

META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    # what image labels teach by
    'image_labels',
    'supervision',
)


@TRANSFORMS.register_module()
class PackCellInputs(PackDetInputs):
    """Pack the inputs as ``PackDetInputs`` does, with what weak supervision needs.

    ``image_labels`` and ``supervision`` are among the meta keys. Where ``gt_ignore_flags`` holds
    fractions (see :class:`LoadCellAnnotations`), ``gt_instances`` gets ``probs`` (n,), float32:
    1 for annotated boxes, less for mined ones. Boxes whose flag is 1 are ignored, as ever.

    Args:
        meta_keys: Keys of the results that the sample keeps.
    """

    mapping_table = {**PackDetInputs.mapping_table, 'gt_probs': 'probs'}

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys)

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
