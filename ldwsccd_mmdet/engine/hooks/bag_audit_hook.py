"""Says, before the first step, what image labels cannot teach."""

import logging
from collections.abc import Iterator
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...datasets.bag_audit import UBIQUITOUS, audit_bags
from ...datasets.plain_dataset import data_infos
from ...errors import ConfigError

# transforms, of mmdet or derived from them, that take cells out of an image or bring others in
UNTRUE = {
    'Albu',
    'CopyPaste',
    'CutOut',
    'MinIoURandomCrop',
    'MixUp',
    'Mosaic',
    'RandomAffine',
    'RandomCenterCropPad',
    'RandomCrop',
    'RandomErasing',
    'RandomShift',
    'CachedMixUp',
    'CachedMosaic',
}


@HOOKS.register_module()
class BagAuditHook(Hook):
    """Audits the bags of the training set at the start of training, as ``audit_bags.py`` does.

    If a class is in nearly all images, or in none, one warning says so, and what to do. A detector
    without a MIL head learns from boxes alone: nothing is audited.

    Where image labels teach, a training pipeline that crops or mixes images is refused: the label
    of the whole image says nothing of what is left of it. (Of CRIC's images such a crop changes 87
    of 100, and 11 of 100 labels are false afterwards.)

    Args:
        ubiquitous: Share of the images above which a class counts as everywhere, in (0, 1].

    Raises:
        ConfigError: Before training, if ``model.supervision`` is 'image' or 'mixed' and the
            training pipeline changes what an image shows.
    """

    def __init__(self, ubiquitous: float = UBIQUITOUS) -> None:
        self.ubiquitous = ubiquitous

    def before_train(self, runner: Runner) -> None:
        """Audit once, on the first process."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if getattr(model, 'mil_head', None) is None:
            return
        dataset = runner.train_dataloader.dataset
        regime = model.supervision.regime
        if regime != 'box':
            refuse_untrue_labels(dataset, regime)
        if runner.rank != 0:
            return
        classes = dataset.metainfo.get('classes', ())
        audit = audit_bags(data_infos(dataset), classes, self.ubiquitous, regime)
        if audit.problems:
            print_log(
                'The MIL head learns from the classes of whole images, and here it cannot learn '
                'all of them. ' + ' '.join(f'{text}.' for text in audit.problems) + ' More: '
                'tools/analysis_tools/audit_bags.py CONFIG',
                logger='current',
                level=logging.WARNING,
            )


def refuse_untrue_labels(dataset: Any, regime: str) -> None:
    """Raise if the pipeline of a data set makes the labels of its images untrue.

    Args:
        dataset: A built data set, or a wrapper of some.
        regime: ``model.supervision``, for the message.

    Raises:
        ConfigError: See above; it names the transforms.
    """
    found = sorted(
        {
            type(transform).__name__
            for transform in _transforms(dataset)
            if UNTRUE & {base.__name__ for base in type(transform).__mro__}
        }
    )
    if found:
        raise ConfigError(
            'train_dataloader.dataset.pipeline: expected transforms that leave all cells in the '
            f"image, because model.supervision is '{regime}' and a label of the whole image is "
            f'untrue of a part of it, found {", ".join(found)}; take them out (flips, colours, '
            "Resize and Expand may stay), or set model.supervision.regime='box'"
        )


def _transforms(dataset: Any) -> Iterator[Any]:
    """Yield the transforms of a data set, of what it wraps, and of transforms that hold others."""
    waiting = [dataset]
    while waiting:
        holder = waiting.pop()
        for name in ('dataset', 'datasets', 'pipeline', 'transforms'):
            held = getattr(holder, name, None)
            if held is not None:
                waiting += held if isinstance(held, (list, tuple)) else [held]
        if hasattr(holder, 'transform'):
            yield holder
