"""Warns, before the first step, of classes that image labels cannot teach."""

import logging

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...datasets.bag_audit import UBIQUITOUS, audit_bags
from ...datasets.plain_dataset import data_infos


@HOOKS.register_module()
class BagAuditHook(Hook):
    """Audits the bags of the training set at the start of training, as ``audit_bags.py`` does.

    If a class is in nearly all images, or in none, one warning says so, and what to do. A detector
    without a MIL head learns from boxes alone: nothing is audited.

    Args:
        ubiquitous: Share of the images above which a class counts as everywhere, in (0, 1].
    """

    def __init__(self, ubiquitous: float = UBIQUITOUS) -> None:
        self.ubiquitous = ubiquitous

    def before_train(self, runner: Runner) -> None:
        """Audit once, on the first process."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if getattr(model, 'mil_head', None) is None or runner.rank != 0:
            return
        dataset = runner.train_dataloader.dataset
        classes = dataset.metainfo.get('classes', ())
        regime = model.supervision.regime
        audit = audit_bags(data_infos(dataset), classes, self.ubiquitous, regime)
        if audit.problems:
            print_log(
                'The MIL head learns from the classes of whole images, and here it cannot learn '
                'all of them. ' + ' '.join(f'{text}.' for text in audit.problems) + ' More: '
                'tools/analysis_tools/audit_bags.py CONFIG',
                logger='current',
                level=logging.WARNING,
            )
