"""Load boxes, and how sure it is that each is a cell."""

import numpy as np
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.registry import TRANSFORMS

__all__ = ['LoadCellAnnotations']


@TRANSFORMS.register_module()
class LoadCellAnnotations(LoadAnnotations):
    """Load annotations as ``LoadAnnotations`` does, and keep the doubt that mined boxes carry.

    The ``ignore_flag`` of a mined box (``CervicalCellDataset(mined_file=...)``) is one minus the
    probability that it is a cell. Every transform of mmdet, crops and mosaics too, carries these
    flags along with the boxes; :class:`PackCellInputs` turns them into ``probs``. mmdet's own
    ``LoadAnnotations`` rounds them up to 1, and so ignores mined boxes.

    Modified keys: those of ``LoadAnnotations``; ``gt_ignore_flags`` (n,) is float32, in [0, 1],
    where some box is mined.

    Args: as for ``mmdet.datasets.transforms.LoadAnnotations``.
    """

    def _load_bboxes(self, results: dict) -> None:
        super()._load_bboxes(results)
        flags = [instance['ignore_flag'] for instance in results.get('instances', [])]
        if any(0 < flag < 1 for flag in flags):
            results['gt_ignore_flags'] = np.array(flags, dtype=np.float32)
