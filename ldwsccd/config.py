"""Set in a config what a tool's flags ask for, and check it before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import torch
from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ldwsccd_mmdet.datasets.plain_dataset import innermost
from ldwsccd_mmdet.engine.own_data import follow_annotation_files
from ldwsccd_mmdet.engine.runner import CellRunner
from ldwsccd_mmdet.engine.weights_only import load_weights_only
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.utils import checkpoint_classes, class_heads
from ldwsccd_mmdet.regular_files import read_text

__all__ = [
    'build_runner',
    'check_checkpoint_classes',
    'check_classes',
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_tta',
    'enable_visualization',
    'set_launcher',
    'set_work_dir',
    'take_new_schedule',
]

TIMEOUT = 300  # seconds that processes wait for one another


def build_runner(config: Config) -> Runner:
    """Build the config's runner; :class:`CellRunner` unless ``runner_type`` says otherwise."""
    return RUNNERS.build(config) if 'runner_type' in config else CellRunner.from_cfg(config)


def take_new_schedule(runner: Runner) -> None:
    """Let a resumed training take rates and schedules of the config."""
    if not isinstance(runner, CellRunner):
        raise ConfigError(
            f"--new-schedule needs runner_type='CellRunner', found {type(runner).__name__}: leave "
            'runner_type out of the config'
        )
    runner.new_schedule = True


def set_work_dir(config: Config, config_path: str, work_dir: str | None) -> None:
    """Set ``work_dir``: the flag before the config before ``work_dirs/<name of the config>``."""
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(config_path).stem)


def set_launcher(config: Config, launcher: str) -> None:
    """Set how processes are started; without an accelerator, connect them through gloo.

    mmengine would choose a GPU for each process, and give DistributedDataParallel its index: on a
    CPU both fail. It leaves a process group alone that is there already.

    Processes wait for each other for ``env_cfg.dist_cfg.timeout`` seconds, :data:`TIMEOUT` where
    the config does not say: then the one that hangs ends the run.

    Args:
        config: The config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        ConfigError: The launcher needs accelerators, and there is none.
    """
    config.launcher = launcher
    if launcher == 'none':
        return
    dist_cfg = (config.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = dist_cfg.get('timeout') or TIMEOUT
    config.merge_from_dict({'env_cfg.dist_cfg.timeout': timeout})
    if get_device() != 'cpu':
        return
    if launcher != 'pytorch':
        raise ConfigError(
            f'--launcher {launcher} needs an accelerator, found none: on CPUs start the processes '
            'with tools/dist_train.sh or tools/dist_test.sh'
        )
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(  # addresses come from torchrun
            'gloo', timeout=timedelta(seconds=timeout)
        )
    if config.get('model_wrapper_cfg') is None:
        config.model_wrapper_cfg = ConfigDict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )


def enable_amp(config: Config) -> None:
    """Turn on mixed precision: ``AmpOptimWrapper``, or ``CPUAmpOptimWrapper`` on the CPU."""
    wrapper = config.get('optim_wrapper')
    if wrapper is None or 'optimizer' not in wrapper:
        raise ConfigError(
            '--amp needs optim_wrapper=dict(optimizer=dict(...)) in the config: add it, or train '
            'without --amp'
        )
    if get_device() == 'cpu':
        for key in ('loss_scale', 'use_fsdp'):
            wrapper.pop(key, None)
        if wrapper.get('dtype') == 'float16':  # a GPU's
            wrapper.pop('dtype')
        wrapper.type = 'CPUAmpOptimWrapper'
    else:
        wrapper.pop('channels_last', None)
        if wrapper.get('dtype') in ('auto', 'float32'):  # a CPU's
            wrapper.pop('dtype')
        wrapper.setdefault('loss_scale', 'dynamic')
        wrapper.type = 'AmpOptimWrapper'


def enable_auto_scale_lr(config: Config) -> None:
    """Scale the learning rate by the batch size, from the one it was chosen for."""
    setting = config.get('auto_scale_lr')
    if not setting or 'base_batch_size' not in setting:
        raise ConfigError(
            '--auto-scale-lr needs the batch size that optimizer.lr was chosen for: add '
            'auto_scale_lr=dict(base_batch_size=...) to the config'
        )
    setting.enable = True


def enable_visualization(
    config: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Draw the predictions on screen or into ``show_dir``, through the config's hook."""
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise ConfigError(
            '--show and --show-dir need a hook that draws: add '
            "default_hooks=dict(visualization=dict(type='CellVisualizationHook')) to the config"
        )
    if hook.get('type') == 'DetVisualizationHook':  # of equal names it keeps one picture
        hook.type = 'CellVisualizationHook'
    hook.draw = True
    if show:
        hook.show = True
        hook.wait_time = wait_time
    if show_dir:
        hook.test_out_dir = show_dir


def enable_tta(config: Config) -> None:
    """Test on each image and its mirror image, merged by NMS, unless the config says otherwise."""
    dataset = innermost(config.test_dataloader.dataset)
    if 'tta_model' not in config:
        config.tta_model = ConfigDict(
            type='DetTTAModel',
            tta_cfg={'nms': {'type': 'nms', 'iou_threshold': 0.5}, 'max_per_img': 100},
        )
    if 'tta_pipeline' not in config:
        pack = deepcopy(dataset.pipeline[-1])
        if 'meta_keys' in pack:  # the default has these
            pack.meta_keys = tuple(dict.fromkeys((*pack.meta_keys, 'flip', 'flip_direction')))
        flips = [{'type': 'RandomFlip', 'prob': 1.0}, {'type': 'RandomFlip', 'prob': 0.0}]
        augment = {'type': 'TestTimeAug', 'transforms': [flips, [pack]]}
        config.tta_pipeline = [*deepcopy(dataset.pipeline[:-1]), augment]
    config.model = ConfigDict(**config.tta_model, module=config.model)
    dataset.pipeline = config.tta_pipeline


def check_classes(config: Config, stages: Sequence[str]) -> None:
    """Check that data sets and model name the same classes, before either is built.

    Classes that the config leaves to the annotation files are set first.

    Args:
        config: The config; completed by :func:`follow_annotation_files`.
        stages: Which of ``'train'``, ``'val'`` and ``'test'`` will run.

    Raises:
        ConfigError: A stage has no data, a data set has no classes, a head no ``num_classes``, or
            their numbers differ.
    """
    if 'model' not in config:
        raise ConfigError('the config has no model: add model=dict(type=...)')
    follow_annotation_files(config)
    heads = {
        f'{key}.num_classes': head.get('num_classes') for key, head in class_heads(config.model)
    }
    for key, num_classes in heads.items():
        if num_classes is None:
            raise ConfigError(
                f'{key} is missing: set it to the number of classes of the data set '
                '(without it mmdet assumes its own default, 80)'
            )
    for stage in stages:
        loader = config.get(f'{stage}_dataloader')
        if loader is None:
            raise ConfigError(
                f'the config has no {stage}_dataloader: add one, with the data set to {stage} on'
            )
        for key, classes in _dataset_classes(loader.dataset, f'{stage}_dataloader.dataset'):
            for head, num_classes in heads.items():
                if num_classes != len(classes):
                    raise ConfigError(
                        f'{head}={num_classes}, but {key} has {len(classes)} classes '
                        f'({", ".join(classes)}): set both to the same classes'
                    )


def check_checkpoint_classes(config: Config, checkpoint: str) -> None:
    """Check that a checkpoint was trained for the classes that it will be tested on.

    mmengine loads a head of other classes with a warning at most, and goes on to an mAP of 0.

    Args:
        config: The config of the test.
        checkpoint: The checkpoint; one that does not name its classes passes, as does an address.

    Raises:
        CheckpointError: The file cannot be read.
        ConfigError: The classes differ, or stand in another order.
    """
    if '://' in checkpoint:
        return
    meta = load_weights_only(checkpoint, mmap=True).get('meta')  # the weights are not read
    trained = checkpoint_classes(meta)
    if trained is None:
        return
    for key, classes in _dataset_classes(config.test_dataloader.dataset, 'test_dataloader.dataset'):
        if trained != classes:
            raise ConfigError(
                f"checkpoint '{checkpoint}' was trained for the classes ({', '.join(trained)}), "
                f'but {key} has ({", ".join(classes)}): test it with the config it was trained with'
            )


def _dataset_classes(dataset: ConfigDict, key: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield key and class names of a data set, or of those that a wrapper holds."""
    if isinstance(dataset.get('dataset'), Mapping):
        yield from _dataset_classes(dataset.dataset, f'{key}.dataset')
        return
    if 'datasets' in dataset:
        for index, part in enumerate(dataset.datasets):
            yield from _dataset_classes(part, f'{key}.datasets[{index}]')
        return
    metainfo = dataset.get('metainfo') or {}
    kind = DATASETS.get(dataset.type) if isinstance(dataset.type, str) else dataset.type
    if kind is None:
        raise ConfigError(
            f"{key}.type is '{dataset.type}', which is not a data set that mmdet knows: check its "
            "spelling, and custom_imports=dict(imports=['ldwsccd_mmdet'])"
        )
    classes = metainfo.get('classes', getattr(kind, 'METAINFO', {}).get('classes'))
    if isinstance(classes, str):
        if Path(classes).is_file():  # mmengine reads the names from a file, one a line
            classes = read_text(classes).splitlines()
        else:
            raise ConfigError(
                f"{key}.metainfo.classes is the text '{classes}', not a list of names: write "
                f"metainfo=dict(classes=('{classes}',))"
            )
    if not classes:
        raise ConfigError(
            f'{key} has no classes: add metainfo=dict(classes=(...)) with the names as the '
            'annotation file spells them'
        )
    yield key, tuple(classes)
