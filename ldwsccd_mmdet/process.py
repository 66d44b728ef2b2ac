"""What importing the package changes in the process, beside the entries of mmdet's registries.

1. Types that mmengine's checkpoints hold are allow-listed for ``torch.load(weights_only=True)``
   (:mod:`ldwsccd_mmdet.engine.checkpoint`).
2. mmengine's loaders of checkpoint files and of ``http(s)://``, ``open-mmlab://`` and
   ``torchvision://`` addresses are replaced by ones that read with ``weights_only=True``
   (:mod:`ldwsccd_mmdet.engine.checkpoint_addresses`).
3. mmengine's readers of ``.yaml`` and ``.pkl`` files are replaced by ones that run nothing
   (:mod:`ldwsccd_mmdet.engine.received_files`).
4. Where mmcv has no compiled operators, ones in plain torch take their place
   (:mod:`ldwsccd_mmdet.ops`).

The environment variable ``LDWSCCD_MMDET_SIDE_EFFECTS=0`` leaves all of them out. Then files
are read as mmengine reads them, and mmdet needs the compiled mmcv. Each can be had by a call:
:func:`ldwsccd_mmdet.engine.allow_checkpoint_globals`,
:func:`ldwsccd_mmdet.engine.register_checkpoint_addresses`,
:func:`ldwsccd_mmdet.engine.register_received_files`,
:func:`ldwsccd_mmdet.ops.install_stand_in`.
"""

import os

__all__ = ['VARIABLE', 'may_change_process']

VARIABLE = 'LDWSCCD_MMDET_SIDE_EFFECTS'


def may_change_process() -> bool:
    """Whether the import may change more than registries: yes, unless the variable is 0."""
    return os.environ.get(VARIABLE, '').strip().lower() not in ('0', 'false', 'no', 'off')
