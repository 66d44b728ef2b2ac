"""What a config says of a training, in a few words: for tables that compare models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ...datasets.plain_dataset import nested_datasets

__all__ = ['augmentation', 'image_size', 'schedule', 'starting_weights']

_NO_AUGMENTATION = ('Load', 'Verify', 'Pack', 'Resize', 'Pad')


def _pipelines(config: Config, stage: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the pipelines that an image passes, the innermost first."""
    nested = nested_datasets((config.get(f'{stage}_dataloader') or {}).get('dataset'))
    for dataset in reversed(list(nested)):
        yield list(dataset.get('pipeline') or ())


def image_size(config: Config) -> tuple[int, int] | None:
    """Return width and height to which ``Resize`` brings an image in the test; None without one."""
    for pipeline in _pipelines(config, 'test'):
        for step in pipeline:
            if step['type'] == 'Resize':
                width, height = step['scale']
                return int(width), int(height)
    return None


def augmentation(config: Config) -> str:
    """List the transforms of the training that change an image at random."""
    steps = [
        step['type']
        for pipeline in _pipelines(config, 'train')
        for step in pipeline
        if not step['type'].startswith(_NO_AUGMENTATION)
    ]
    return ', '.join(steps) or 'none'


def schedule(config: Config) -> str:
    """Describe optimiser, epochs, batch size and course of the learning rate."""
    wrapper = config.get('optim_wrapper') or {}
    optimizer = wrapper.get('optimizer') or {}
    courses = [
        {'CosineAnnealingLR': 'cosine', 'MultiStepLR': 'steps'}.get(part['type'], part['type'])
        for part in config.get('param_scheduler') or ()
        if part['type'] != 'LinearLR'  # the warm-up
    ]
    epochs = (config.get('train_cfg') or {}).get('max_epochs')
    batch = (config.get('train_dataloader') or {}).get('batch_size')
    course = ' and '.join(courses) or 'constant'
    step = f'{optimizer.get("type")} {optimizer.get("lr"):g}'
    return f'{step}, {course}, {epochs} epochs, batch {batch}'


def starting_weights(config: Config) -> str:
    """Return the pretrained weights of the backbone; 'scratch' without any."""
    init_cfg = config.model.get('backbone', {}).get('init_cfg')
    if isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained':
        return str(init_cfg['checkpoint'])
    return 'scratch'
