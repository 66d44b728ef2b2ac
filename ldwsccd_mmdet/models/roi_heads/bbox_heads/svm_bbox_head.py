"""Head of R-CNN's second stage: a support vector machine and a ridge regression a class."""

from typing import Any

from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class SVMBBoxHead(Shared2FCBBoxHead):
    """Linear machines on the last layer's features, and boxes from the pooled ones.

    As R-CNN (Girshick et al., CVPR 2014) and SPP-Net (He et al., TPAMI 2015) have it: ``fc_cls``
    reads what the two connected layers give (fc7), one margin a class and none of background;
    ``fc_reg`` reads the pooled features before them (pool5), one box a class. Neither is learnt
    by gradients: ``ldwsccd svm`` finds them for a trained checkpoint
    (:func:`~ldwsccd_mmdet.engine.svm_training.train_svms`), whose other weights stay what they are.

    Args:
        *args: As ``Shared2FCBBoxHead``.
        **kwargs: As ``Shared2FCBBoxHead``; ``loss_cls`` is :class:`HingeLoss`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, 'loss_cls': dict(type='HingeLoss'), 'with_reg': True})
        boxes: nn.Linear = self.get_submodule('fc_reg')
        self.fc_reg = nn.Linear(self.in_channels * self.roi_feat_area, boxes.out_features)

    def region_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of regions whose pooled maps are (R, D, h, w).

        Returns:
            Those of the boxes (R, D h w), and those of the machines (R, ``fc_out_channels``).
        """
        pooled = x.flatten(1)
        shared = pooled
        for fc in self.shared_fcs:
            shared = self.relu(fc(shared))
        return pooled, shared

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Margins (R, C) and encoded boxes (R, 4 C) of regions (R, D, h, w)."""
        pooled, shared = self.region_features(x)
        return self.fc_cls(shared), self.fc_reg(pooled)
