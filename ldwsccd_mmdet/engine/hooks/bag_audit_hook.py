"""Says, before the first step, what image labels cannot teach."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from mmdet.registry import HOOKS, TRANSFORMS
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from ...datasets.bag_audit import UBIQUITOUS, audit_bags
from ...datasets.plain_dataset import data_infos
from ...errors import ConfigError

# transforms, of mmdet or derived from them, that take cells out of an image or bring others in;
# besides these, whatever has a crop in its name
UNTRUE = {
    'Albu',
    'AutoAugment',
    'CopyPaste',
    'CutOut',
    'GeomTransform',  # shears, shifts and turns
    'InstaBoost',
    'MixUp',
    'Mosaic',
    'RandAugment',
    'RandomAffine',
    'RandomErasing',
    'RandomShift',
    'CachedMixUp',
}
# what data sets, transforms and hooks hold others by
HOLDING = ('dataset', 'datasets', 'pipeline', 'transforms', 'branch_pipelines', 'switch_pipeline')


@HOOKS.register_module()
class BagAuditHook(Hook):
    """Audits the bags of the training set at the start of training, as ``audit_bags.py`` does.

    If a class is in nearly all images, or in none, one warning says so, and what to do. A detector
    without a MIL head learns from boxes alone: nothing is audited.

    Where image labels teach, a training pipeline that crops, shifts or mixes images is refused,
    also one that a hook switches to later: the label of the whole image says nothing of what is
    left of it. (Of CRIC's images such a crop changes 87 of 100, and 11 of 100 labels are false
    afterwards.) :class:`CellRunner` has this hook of itself where a config does not list it.

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
            refuse_untrue_labels([dataset, *runner.hooks], regime)
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


def refuse_untrue_labels(holder: Any, regime: str) -> None:
    """Raise if the pipeline of a data set makes the labels of its images untrue.

    Args:
        holder: A built data set, a wrapper of some, or a list of what may hold transforms.
        regime: ``model.supervision``, for the message.

    Raises:
        ConfigError: See above; it names the transforms.
    """
    found = sorted({kind.__name__ for kind in _kinds(holder) if _is_untrue(kind)})
    if found:
        raise ConfigError(
            'train_dataloader.dataset.pipeline: expected transforms that leave all cells in the '
            f"image, because model.supervision.regime is '{regime}' and a label of the whole image "
            f'is untrue of a part of it, found {", ".join(found)}; take them out (flips, colours, '
            'Resize and Expand may stay), cut the images into tiles with labels of their own '
            "(ldwsccd weaken --tiles 3), or set model.supervision.regime='box'"
        )


def _is_untrue(kind: type) -> bool:
    """Whether a class of transforms changes which cells an image shows."""
    names = {base.__name__ for base in kind.__mro__}
    return bool(UNTRUE & names) or any('Crop' in name for name in names)


def _kinds(holder: Any) -> Iterator[type]:
    """Yield the classes of all transforms that something holds, however deep.

    Things that are built hold them in attributes; a pipeline that a hook switches to is a list of
    dicts.
    """
    waiting: list[Any] = [holder]
    seen: dict[int, Any] = {}
    while waiting:
        held = waiting.pop()
        if isinstance(held, str) or held is None or id(held) in seen:
            continue
        seen[id(held)] = held
        if isinstance(held, Mapping):
            kind = held.get('type')
            kind = TRANSFORMS.get(kind) if isinstance(kind, str) else kind
            if isinstance(kind, type):
                yield kind
            waiting += held.values()
        elif isinstance(held, (list, tuple)):
            waiting += held
        else:
            if hasattr(held, 'transform'):
                yield type(held)
            waiting += [getattr(held, name, None) for name in HOLDING]
