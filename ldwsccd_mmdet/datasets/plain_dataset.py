"""A data set of a config, as the tools look at it: without augmentation, without shuffling."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from mmdet.registry import DATASETS
from mmengine.config import Config, ConfigDict

from ..errors import ConfigError
from .transforms import PackCellInputs

__all__ = [
    'build_plain_dataset',
    'data_infos',
    'innermost',
    'joined_datasets',
    'nested_datasets',
    'plain_dataset_config',
]


def innermost(dataset: Any) -> Any:
    """Give the data set, or its config, that wrappers such as ``RepeatDataset`` hold."""
    *_, last = nested_datasets(dataset)
    return last


def nested_datasets(dataset: Any) -> Iterator[Any]:
    """Yield a data set, or its config, and all that it wraps, the outermost first."""
    while dataset is not None:
        yield dataset
        if isinstance(dataset, dict):
            held = dataset.get('dataset')
            dataset = held if isinstance(held, dict) else None
        else:
            dataset = getattr(dataset, 'dataset', None)


def joined_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the built data sets that hold images themselves, whatever wraps or joins them."""
    dataset = innermost(dataset)
    parts = getattr(dataset, 'datasets', None)
    if parts is None:
        yield dataset
        return
    for part in parts:
        yield from joined_datasets(part)


def data_infos(dataset: Any) -> Iterator[dict]:
    """Yield the record of each image of a built data set once, whatever wraps it."""
    for part in joined_datasets(dataset):
        for index in range(len(part)):
            yield part.get_data_info(index)


def plain_dataset_config(config: Config, split: str) -> ConfigDict:
    """Make the config of a split's data set, read with the pipeline of validation.

    Args:
        config: The config of a training.
        split: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        ConfigError: The config lacks the split, or a pipeline to read it with, or joins several
            data sets.
    """
    loader = config.get(f'{split}_dataloader')
    source = config.get('val_dataloader') or config.get('test_dataloader')
    if not loader or not source:
        missing = 'val_dataloader' if loader else f'{split}_dataloader'
        raise ConfigError(f'the config has no {missing}: add one, or choose another --split')
    dataset = deepcopy(innermost(loader['dataset']))
    if 'datasets' in dataset:
        raise ConfigError(
            f'{split}_dataloader.dataset joins several data sets ({dataset["type"]}): give a '
            'config with one of them'
        )
    dataset.pipeline = deepcopy(innermost(source['dataset']).pipeline)
    pack = dataset.pipeline[-1]
    keys = (*pack.get('meta_keys', ()), *PackCellInputs.META_KEYS)
    pack.meta_keys = tuple(dict.fromkeys(keys))
    dataset.test_mode = True
    return dataset


def build_plain_dataset(config: Config, split: str) -> Any:
    """Build what :func:`plain_dataset_config` describes."""
    return DATASETS.build(plain_dataset_config(config, split))
