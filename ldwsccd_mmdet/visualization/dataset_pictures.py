"""Pictures of what a data set hands to the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS, VISUALIZERS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from ..datasets.plain_dataset import joined_datasets
from ..errors import ConfigError

__all__ = ['draw_dataset']


def draw_dataset(
    config: Config,
    phase: str,
    out: Path | None,
    number: int | None = None,
    wait_time: float | None = None,
) -> int:
    """Draw images with their boxes as the model gets them, augmentations included.

    Args:
        config: The config whose data set it is.
        phase: 'train', 'val' or 'test'.
        out: Folder for the pictures; None shows them on screen.
        number: Pictures; None: each image once, however often a wrapper repeats it.
        wait_time: On screen, seconds a picture; 0 waits for a key.

    Returns:
        How many were drawn.

    Raises:
        ConfigError: The config has no such phase.
    """
    loader = config.get(f'{phase}_dataloader')
    if loader is None:
        raise ConfigError(f'the config has no {phase}_dataloader: choose another --phase')
    init_default_scope(config.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(loader.dataset)
    visualizer = VISUALIZERS.build({'type': 'CytologyVisualizer', 'name': 'browse_dataset'})
    visualizer.dataset_meta = dataset.metainfo
    images = sum(map(len, joined_datasets(dataset)))  # each once, however often they are repeated
    number = min(number or sys.maxsize, images, len(dataset))
    late = _loads_truth_late(dataset)
    for index in track(range(number), 'Drawing', disable=out is None, transient=True):
        item = dataset[index]
        image = item['inputs'].permute(1, 2, 0).numpy()[..., ::-1]  # to RGB
        sample = item['data_samples']
        if late and 'scale_factor' in sample:
            sample.gt_instances.bboxes.rescale_(sample.scale_factor)
        stem = Path(sample.get('img_path', 'image')).stem
        visualizer.add_datasample(
            stem,
            image,
            sample,
            draw_pred=False,
            show=out is None,
            wait_time=wait_time or 0,
            out_file=None if out is None else str(out / f'{phase}_{index:05d}_{stem}.jpg'),
        )
    return number


def _loads_truth_late(dataset: Any) -> bool:
    """Tell whether boxes are loaded after Resize, as for tests: they are the original image's."""
    first = next(joined_datasets(dataset))
    steps = [type(step).__name__ for step in first.pipeline.transforms]
    return 'Resize' in steps and 'LoadAnnotations' in steps[steps.index('Resize') :]
