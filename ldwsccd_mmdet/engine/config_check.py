"""Check a config before anything is built from it: a wrong setting is one line with its key."""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.splits import Fold
from ..errors import ConfigError, check_argument
from ..evaluation.functional.box_collapse import watch_collapse
from ..evaluation.metrics import PseudoBoxMetric
from ..models.detectors.feature_cache import FeatureCache
from ..models.detectors.ldwsccd_mixin import TEACHER_KEYS
from ..models.detectors.supervision import Supervision
from .argument_types import accepted_arguments, expected_number, expected_type, type_hints
from .registered import UNREGISTERED, find_registered, registered
from .run_settings import check_run_settings

__all__ = ['TOP_LEVEL', 'check_config', 'check_options', 'nearest']

_STAGES = ('train', 'val', 'test')
_OF_RUNNER = frozenset(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'} | {
    'custom_imports',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
}
#: What mmengine, mmdet and this package read at the top of a config.
TOP_LEVEL = _OF_RUNNER | {'sync_bn', 'tta_model', 'tta_pipeline'}
_PARTS = (
    'model',
    *(f'{stage}_{part}' for stage in _STAGES for part in ('dataloader', 'evaluator', 'cfg')),
    'optim_wrapper',
    'param_scheduler',
    'default_hooks',
    'custom_hooks',
    'visualizer',
    'log_processor',
    'tta_model',
    'tta_pipeline',
)
#: Dicts without a ``type``: the keys that are read in them.
_UNTYPED: dict[str, frozenset[str]] = {
    'dataloader': frozenset(inspect.signature(DataLoader.__init__).parameters) - {'self'}
    | {'num_batch_per_epoch'},
    'paramwise_cfg': frozenset(
        'bias_decay_mult bias_lr_mult bypass_duplicate custom_keys dcn_offset_lr_mult decay_rate '
        'decay_type dwconv_decay_mult flat_decay_mult force_default_settings layer_wise_decay '
        'norm_decay_mult num_layers'.split()
    ),
    'env_cfg': frozenset('cudnn_benchmark dist_cfg mp_cfg resource_limit'.split()),
    'mp_cfg': frozenset('mp_start_method opencv_num_threads'.split()),
    'dist_cfg': frozenset(
        'backend device_id group_name init_backend init_method pg_options port rank store timeout '
        'world_size'.split()
    ),
    'randomness': frozenset('deterministic diff_rank_seed seed'.split()),
    'auto_scale_lr': frozenset('base_batch_size enable'.split()),
    'clip_grad': frozenset('clip_value error_if_nonfinite foreach max_norm norm_type type'.split()),
    'teacher': frozenset(TEACHER_KEYS),
}
#: Parts that are dicts, or lists of them, wherever they stand.
_DICTS = frozenset(
    'clip_grad custom_hooks data_preprocessor dataset default_hooks filter_cfg metainfo model nms '
    'optim_wrapper optimizer param_scheduler test_cfg test_evaluator train_cfg val_evaluator '
    'visualizer'.split()
)
#: Dicts without a ``type`` that are arguments of ours, by the last part of their key.
_HANDED_ON: dict[str, Callable[..., Any]] = {
    'cache': FeatureCache,
    'collapse': watch_collapse,
    'fold': Fold,
    'metric': PseudoBoxMetric,
    'supervision': Supervision,
}
#: What heads read of ``train_cfg`` and ``test_cfg``: near names are misspelt ones.
_OF_HEADS = frozenset(
    'allowed_border assigner corner_topk debug distance_threshold initial_epoch '
    'local_maximum_kernel mask_size mask_thr_binary max_per_image max_per_img min_bbox_size '
    'multi_label '
    'neg_pos_ratio nms nms_post nms_pre pos_weight proposal rcnn refine rpn rpn_proposal sampler '
    'score_source score_thr smoothl1_beta topk use_nms'.split()
)
#: What mmdet's data sets read of ``filter_cfg``.
_OF_FILTER = frozenset('bbox_min_size filter_empty_gt min_size'.split())
_OF_METAINFO = frozenset({'classes', 'palette'})
_OF_ANY_NMS = frozenset('class_agnostic iou_thr iou_threshold max_num split_thr type'.split())
#: What mmcv's suppressions take, by their type.
_OF_NMS = {
    'nms': _OF_ANY_NMS | {'offset', 'score_threshold'},
    'soft_nms': _OF_ANY_NMS | {'method', 'min_score', 'offset', 'sigma'},
}
_KINDS_OF_NMS = {*_OF_NMS, 'diou_nms', 'nms_match', 'nms_quadri', 'nms_rotated'}
#: Dicts that mmcv reads by itself, taking keys out before it builds the class.
_READ_BY_MMCV = frozenset(
    'act_cfg cfg conv_cfg dcn gcb init_cfg layer_cfg loss_cfg nms norm_cfg override plugins '
    'roi_layer upsample_cfg'.split()
)
_ALWAYS = frozenset({'type', '_scope_', '_delete_'})
#: Keys taken out of the dict of a class before it is built, by the first part of its place.
_TAKEN = {
    'optim_wrapper': {'constructor', 'paramwise_cfg'},
    'train_cfg': {'by_epoch'},
    'custom_hooks': {'priority'},
    'default_hooks': {'priority'},
    'model': {'bg_cls_weight'},  # DETR's head reads it of its loss
}
#: Classes of dicts that may leave their type out.
_DEFAULTS = {
    'optim_wrapper': 'OptimWrapper',
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'log_processor': 'LogProcessor',
}

Rule = tuple[str, Callable[[Any], bool], str]


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= least


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _are_whole(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_whole(0), values))


def _are_positive(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(map(_positive, values))


_HEAD_NUMBERS: tuple[Rule, ...] = (
    ('score_thr', lambda v: _is_number(v) and 0 <= v <= 1, 'a number in [0, 1]'),
    ('min_bbox_size', lambda v: _is_number(v) and v >= -1, 'pixels, a number'),
    ('max_per_img', lambda v: _whole(-1)(v) and v != 0, 'a whole number of 1 or more'),
    ('nms_pre', lambda v: _whole(-1)(v) and v != 0, 'a whole number of 1 or more'),
)
_PREPROCESSOR_NUMBERS: tuple[Rule, ...] = (
    ('std', _are_positive, 'a list of numbers above 0'),
    ('pad_size_divisor', _whole(1), 'a whole number of 1 or more'),
)
_SCHEDULE_NUMBERS: tuple[Rule, ...] = (
    ('begin', _whole(0), 'a whole number of 0 or more'),
    ('gamma', _positive, 'a number above 0'),
    ('milestones', _are_whole, 'a list of whole numbers'),
)

_RULES: tuple[Rule, ...] = (
    ('env_cfg.dist_cfg.timeout', _positive, 'seconds, a number above 0'),
    ('auto_scale_lr.base_batch_size', _whole(1), 'a whole number of 1 or more'),
    ('randomness.seed', lambda v: v is None or _whole(0)(v), 'a whole number of 0 or more'),
    ('load_from', lambda v: v is None or isinstance(v, str), 'a path, or None'),
    ('work_dir', lambda v: v is None or isinstance(v, str), 'a path'),
    ('resume', lambda v: isinstance(v, bool), 'True or False'),
)


def check_config(config: Config) -> None:
    """Check the settings that mmengine, mmdet and this package read.

    - Keys: each dict with a ``type`` is compared with the signature of its class; one that the
      class does not take is an error that names the nearest right one. So is a top-level name near
      one that is read.
    - Types, of this package's classes as annotated, and of plain numbers and texts of others.
    - Ranges of the settings of a run, and settings that do not go together.

    Args:
        config: The config, resolved.

    Raises:
        ConfigError: The first setting that is wrong.
    """
    content = config._cfg_dict.to_dict() if isinstance(config, Config) else dict(config)
    for key in content:
        if key not in TOP_LEVEL and (near := nearest(key, _OF_RUNNER, 0.85)):
            raise ConfigError(f"{key}: nothing reads a setting of this name; '{near}' is near it")
    for key, right, expected in _RULES:
        value = _at(content, key)
        check_argument(value is _MISSING or right(value), key, expected, value)
    check_run_settings(content)
    for key in ('env_cfg', 'randomness', 'auto_scale_lr'):
        _check_untyped(content.get(key), key, key)
    for key in ('mp_cfg', 'dist_cfg'):
        _check_untyped((content.get('env_cfg') or {}).get(key), f'env_cfg.{key}', key)
    for key in _PARTS:
        _check_part(content.get(key), key, key)
    for stage in _STAGES:
        _check_loader(content.get(f'{stage}_dataloader'), f'{stage}_dataloader')
        for metric in _metrics(content.get(f'{stage}_evaluator')):
            if isinstance(metric, Mapping):
                _check_ann_file(metric, f'{stage}_evaluator')
    for hook, hooks in _checkpoint_hooks(content):
        _check_save_best(content, hook, hooks)


def check_options(options: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    """Check that settings given on the command line are ones that something reads.

    Args:
        options: ``{'key.of.setting': value}``.
        content: The config before they are set.

    Raises:
        ConfigError: A key's first part is a variable of the file, which is resolved when they are
            set, or nothing at all.
    """
    for key in options:
        top, _, _ = key.partition('.')
        if top in TOP_LEVEL:
            continue
        if re.search(r'\[-?\d*\]', key):
            plain = re.sub(r'\[(\d+)\]', r'.\1', key)
            remedy = f'write the place in a list after a point, {plain}'
        elif top in content:
            remedy = (
                'it is a variable of the config file, which is read already: set what it is for'
            )
        else:
            near = nearest(top, TOP_LEVEL)
            remedy = f"'{near}' is near it" if near else 'check its spelling'
        raise ConfigError(f'{key}: nothing reads a setting of this name; {remedy}')


def nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Find the name that is most like another."""
    found = difflib.get_close_matches(str(name), sorted(names), 1, cutoff)
    return found[0] if found else None


_MISSING = object()


def _at(content: Any, key: str) -> Any:
    """The value of ``a.b.c``, or ``_MISSING``."""
    for name in key.split('.'):
        if not isinstance(content, Mapping) or name not in content:
            return _MISSING
        content = content[name]
    return content


def _unknown(key: str, name: str, names: Iterable[str], owner: str) -> ConfigError:
    near = nearest(name, names)
    remedy = f"'{near}' is near it" if near else f'it takes {", ".join(sorted(names))}'
    return ConfigError(f"{key}.{name}: {owner} has no setting '{name}'; {remedy}")


def _check_untyped(part: Any, key: str, kind: str) -> None:
    """Check a dict whose keys are listed here."""
    if part is None:
        return
    check_argument(isinstance(part, Mapping), key, 'a dict', part)
    for name in part:
        if name not in _UNTYPED[kind]:
            raise _unknown(key, name, _UNTYPED[kind], key)


def _check_part(part: Any, key: str, name: str) -> None:
    """Check a part of the config and all that it holds; ``name`` is the last of its key."""
    if name == 'init_cfg':
        _check_init(part, key)
    nan = isinstance(part, float) and math.isnan(part)
    check_argument(not nan, key, 'a number', part)
    plain = isinstance(part, (str, int, float))
    check_argument(not (plain and name in _DICTS), key, 'a dict, or a list of them', part)
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            _check_part(item, f'{key}.{index}', name)
        return
    if not isinstance(part, Mapping):
        return
    if key == 'default_hooks':
        _check_hooks(part)
    elif key.endswith('_dataloader'):
        _check_untyped(part, key, 'dataloader')
    elif name in ('paramwise_cfg', 'clip_grad'):
        _check_untyped(part, key, name)
    elif name in ('train_cfg', 'test_cfg') and key != name:
        _check_near(part, key, _OF_HEADS, key)
        _check_numbers(part, key, _HEAD_NUMBERS)
    elif name == 'data_preprocessor':
        _check_numbers(part, key, _PREPROCESSOR_NUMBERS)
    elif name == 'param_scheduler':
        _check_numbers(part, key, _SCHEDULE_NUMBERS)
    elif name == 'filter_cfg':
        _check_filter(part, key)
    elif name == 'metainfo':
        _check_metainfo(part, key)
    elif name == 'nms':
        _check_nms(part, key)
    elif key == 'model.teacher':
        _check_untyped(part, key, 'teacher')
    elif name in _HANDED_ON and 'type' not in part:
        _check_handed_on(part, _HANDED_ON[name], key)
    kind = part.get('type', _DEFAULTS.get(key))
    if key == 'train_cfg' and kind is None:
        kind = 'EpochBasedTrainLoop' if part.get('by_epoch') else 'IterBasedTrainLoop'
    if kind is not None and name not in _READ_BY_MMCV:
        _check_typed(part, kind, key)
    for item, value in part.items():
        _check_part(value, f'{key}.{item}', item)


def _check_init(part: Any, key: str) -> None:
    """Check what mmengine takes for a way to initialise: it would be silent until it is used."""
    for item in part if isinstance(part, (list, tuple)) else [part]:
        right = item is None or (isinstance(item, Mapping) and 'type' in item)
        check_argument(right, key, "dict(type=...), such as dict(type='Xavier')", item)


def _check_hooks(hooks: Mapping[str, Any]) -> None:
    for name, hook in hooks.items():
        near = None if name in _HOOKS else nearest(name, _HOOKS, 0.85)
        if near and not name.startswith(near):  # checkpoint2 is a second one
            raise ConfigError(f"default_hooks.{name}: no hook of this name; '{near}' is near it")
        plain = isinstance(hook, (str, int, float))
        check_argument(not plain, f'default_hooks.{name}', 'a dict with a type', hook)
        if isinstance(hook, Mapping) and 'type' not in hook:
            known = set(hooks) | set(_HOOKS)
            near = nearest(name, known - {name})
            raise ConfigError(
                f'default_hooks.{name}: expected a dict with a type, found {dict(hook)!r}'
                + (f"; '{near}' is near it" if near else '')
            )


_HOOKS = 'runtime_info timer sampler_seed logger param_scheduler checkpoint visualization'.split()


def _check_typed(part: Mapping[str, Any], kind: Any, key: str) -> None:
    """Check the arguments of a class."""
    classes = find_registered(kind)
    if not classes:
        scope, _, plain = kind.rpartition('.') if isinstance(kind, str) else ('', '', '')
        if isinstance(kind, str) and (scope or plain in UNREGISTERED):
            return  # a module of the user's, imported when it is built
        check_argument(isinstance(kind, str), f'{key}.type', 'the name of a class', kind)
        near = nearest(kind, registered())
        raise ConfigError(
            f"{key}.type is '{kind}', which is not registered: "
            + (f"'{near}' is near it; " if near else '')
            + "check its spelling, and custom_imports=dict(imports=['ldwsccd_mmdet'])"
        )
    errors = [_argument_error(part, each, key) for each in classes]
    if None not in errors:
        error = errors[0]
        assert error is not None
        raise error


def _check_handed_on(part: Mapping[str, Any], kind: Callable[..., Any], key: str) -> None:
    """Check a dict whose entries become arguments."""
    if error := _argument_error(part, kind, key):
        raise error
    if kind is Fold:
        check_argument('of' in part, f'{key}.of', 'the number of parts', None)


def _argument_error(
    part: Mapping[str, Any], kind: Callable[..., Any], key: str
) -> ConfigError | None:
    """What is wrong with the arguments of a class; None if nothing is."""
    names, strict = accepted_arguments(kind)
    taken = _ALWAYS | _TAKEN.get(key.split('.')[0], set())
    title = getattr(kind, '__name__', str(kind))
    hints = type_hints(kind)
    for name, value in part.items():
        if name in taken:
            continue
        if name not in names:
            near = nearest(name, names, 0.0 if strict else 0.85)
            if strict or near:
                return _unknown(key, name, names, title)
            continue
        hint, module = hints.get(name, (Any, ''))
        own = module.startswith('ldwsccd_mmdet.')
        if not (own or _is_plainly_wrong(value, hint)):
            continue
        default = _default(kind, name)
        expected = expected_type(value, hint)
        if expected is None and own:
            expected = expected_number(name, value, default)
        if expected is not None and default is not value:
            return ConfigError(f'{key}.{name}: expected {expected}, found {value!r}')
    return None


def _is_plainly_wrong(value: Any, hint: Any) -> bool:
    """A text for a number, or the reverse; mmdet's annotations are not exact enough for more."""
    if hint in (int, float, bool):
        return isinstance(value, (str, Mapping))
    return hint is str and isinstance(value, (int, float, Mapping))


def _default(kind: Callable[..., Any], name: str) -> Any:
    """The default of an argument; ``_MISSING`` where it has none, or it is not known."""
    try:
        parameter = inspect.signature(kind).parameters.get(name)
    except (TypeError, ValueError):
        return _MISSING
    if parameter is None or parameter.default is inspect.Parameter.empty:
        return _MISSING
    return parameter.default


def _check_near(
    part: Mapping[str, Any], key: str, names: Iterable[str], owner: str, cutoff: float = 0.85
) -> None:
    """Check a dict whose keys are not all known: a name near a known one is misspelt."""
    for name in part:
        if name not in names and nearest(name, names, cutoff):
            raise _unknown(key, name, names, owner)


def _check_numbers(part: Mapping[str, Any], key: str, rules: Iterable[Rule]) -> None:
    """Check numbers that mmdet and mmengine take as they are, and fail on late or never."""
    for name, right, expected in rules:
        value = part.get(name)
        check_argument(value is None or right(value), f'{key}.{name}', expected, value)


def _check_filter(part: Mapping[str, Any], key: str) -> None:
    """Check which images a data set is to leave out: mmdet passes over what it does not know."""
    _check_near(part, key, _OF_FILTER, key, 0.7)
    size = part.get('min_size', 0)
    number = isinstance(size, (int, float)) and not isinstance(size, bool) and size >= 0
    check_argument(number, f'{key}.min_size', 'pixels, a number of 0 or more', size)
    empty = part.get('filter_empty_gt', False)
    check_argument(isinstance(empty, bool), f'{key}.filter_empty_gt', 'True or False', empty)


def _check_metainfo(part: Mapping[str, Any], key: str) -> None:
    """Check the names of a data set's classes; mmdet 2 had them in capitals."""
    for name in part:
        plain = str(name).lower()
        if plain != name and plain in _OF_METAINFO:
            raise ConfigError(f"{key}.{name}: {key} has no setting '{name}'; '{plain}' is near it")
    _check_near(part, key, _OF_METAINFO, key, 0.75)


def _check_nms(part: Mapping[str, Any], key: str) -> None:
    """Check a suppression, which would fail at the first validation only."""
    kind = part.get('type', 'nms')
    if isinstance(kind, str) and kind not in _KINDS_OF_NMS and (near := nearest(kind, _OF_NMS)):
        raise ConfigError(f"{key}.type is '{kind}', which is no suppression: '{near}' is near it")
    names = _OF_NMS.get(str(kind), frozenset(part))
    for name in part:
        if name not in names and name not in _ALWAYS:
            raise _unknown(key, name, names, key)
    for name in ('iou_threshold', 'iou_thr'):
        value = part.get(name, 0)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        check_argument(number and 0 <= value <= 1, f'{key}.{name}', 'a number in [0, 1]', value)


def _check_loader(loader: Any, key: str) -> None:
    """Check what torch's loader would say in a traceback, and files that are lists."""
    if not isinstance(loader, Mapping):
        check_argument(loader is None, key, 'a dict', loader)
        return
    if not loader.get('num_workers'):
        for name, off in (('persistent_workers', False), ('prefetch_factor', None)):
            if loader.get(name):
                raise ConfigError(
                    f'{key}.{name}: expected {off} where {key}.num_workers is 0, found '
                    f'{loader[name]!r}; set --cfg-options {key}.{name}={off}, or more workers'
                )
    for name, part in _data_sets(loader.get('dataset'), f'{key}.dataset'):
        _check_ann_file(part, name)


def _check_ann_file(part: Mapping[str, Any], key: str) -> None:
    ann_file = part.get('ann_file')
    if isinstance(ann_file, (list, tuple)):
        raise ConfigError(
            f'{key}.ann_file: expected one file, found the list {list(ann_file)!r}; put the sets '
            "together: dataset=dict(type='ConcatDataset', datasets=[dict(...), ...])"
        )


def _data_sets(part: Any, key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(part, Mapping):
        return
    yield key, part
    yield from _data_sets(part.get('dataset'), f'{key}.dataset')
    for index, item in enumerate(part.get('datasets') or ()):
        yield from _data_sets(item, f'{key}.datasets.{index}')


def _checkpoint_hooks(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    hooks = content.get('default_hooks') or {}
    parts = [(f'default_hooks.{name}', hook) for name, hook in hooks.items()]
    custom = content.get('custom_hooks') or ()
    parts += [(f'custom_hooks.{index}', hook) for index, hook in enumerate(custom)]
    for key, hook in parts:
        if isinstance(hook, Mapping) and hook.get('save_best'):
            yield key, hook


def _check_save_best(content: Mapping[str, Any], key: str, hook: Mapping[str, Any]) -> None:
    """Check that an evaluator gives the value by which the best checkpoint is chosen."""
    evaluators = content.get('val_evaluator')
    wanted = hook['save_best']
    wanted = [wanted] if isinstance(wanted, str) else wanted
    check_argument(
        isinstance(wanted, (list, tuple)) and all(isinstance(name, str) for name in wanted),
        f'{key}.save_best',
        'the name of a value, as in coco/bbox_mAP_50',
        hook['save_best'],
    )
    if not evaluators or 'auto' in wanted:
        return
    given = [_values(metric) for metric in _metrics(evaluators)]
    if any(names is None for names in given):  # a metric that does not say
        return
    names = {name for part in given for name in part or ()}
    prefixes = {name.split('/')[0] for name in names if name.endswith('/')}
    names = {name for name in names if not name.endswith('/')}
    for name in wanted:
        if name in names or name.split('/')[0] in prefixes:
            continue
        near = nearest(name, names)
        raise ConfigError(
            f"{key}.save_best: expected a value of val_evaluator, found '{name}'; "
            + (f"'{near}' is near it, of " if near else 'there are ')
            + ', '.join(sorted(names | {f'{prefix}/...' for prefix in prefixes}))
        )


def _metrics(evaluators: Any) -> Sequence[Any]:
    if isinstance(evaluators, Mapping) and 'metrics' in evaluators:
        evaluators = evaluators['metrics']
    return evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]


def _values(metric: Any) -> set[str] | None:
    """Names of the values that a metric logs: whole ones, or ``'prefix/'`` where not all are known.

    None where even the prefix is not known.
    """
    classes = find_registered(metric.get('type')) if isinstance(metric, Mapping) else ()
    kinds = [kind for kind in classes if inspect.isclass(kind) and issubclass(kind, BaseMetric)]
    if not kinds:
        return None
    prefix = metric.get('prefix') or getattr(kinds[0], 'default_prefix', None)
    if not prefix:
        return None
    of_boxes = metric.get('metric', 'bbox') in ('bbox', ['bbox'])
    if kinds[0].__name__ in ('CocoMetric', 'CheckedCocoMetric') and of_boxes:
        if not (metric.get('classwise') or metric.get('metric_items')):
            ends = ('', '_50', '_75', '_s', '_m', '_l')
            return {f'{prefix}/bbox_mAP{end}' for end in ends}
    return {f'{prefix}/'}
