"""Draw what a config's data set hands to the model, augmentations included.

Example:
    python tools/browse_dataset.py configs/ldwsccd/ldwsccd_ssd512-narrow_cric.py -n 12
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS, VISUALIZERS
from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from rich.progress import track

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.errors import ConfigError


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Draw a config's data, augmentations included.")
    parser.add_argument('config', help='config file')
    parser.add_argument('--phase', choices=['train', 'val', 'test'], default='train')
    parser.add_argument('--out', type=Path, help='folder (default: work_dirs/browse/<config>)')
    parser.add_argument('-n', '--num', type=int, help='pictures (default: each image once)')
    parser.add_argument('--show', action='store_true', help='show them on screen, write none')
    parser.add_argument('--wait-time', type=float, default=0, help='seconds; 0 waits for a key')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to override in the config',
    )
    parser.set_defaults(local_rank=0)
    return parser.parse_args(argv)


def count_images(dataset: Any) -> int:
    """Count the images of a data set, each once, however often a wrapper repeats them."""
    if hasattr(dataset, 'datasets'):
        return sum(count_images(part) for part in dataset.datasets)
    return count_images(dataset.dataset) if hasattr(dataset, 'dataset') else len(dataset)


def loads_truth_late(dataset: Any) -> bool:
    """Tell whether boxes are loaded after Resize, as for tests: they are the original image's."""
    while not hasattr(dataset, 'pipeline'):
        dataset = dataset.datasets[0] if hasattr(dataset, 'datasets') else dataset.dataset
    steps = [type(step).__name__ for step in dataset.pipeline.transforms]
    return 'Resize' in steps and 'LoadAnnotations' in steps[steps.index('Resize') :]


def main(args: argparse.Namespace) -> None:
    if args.num is not None and args.num < 1:
        raise ConfigError(f'-n is {args.num}: expected at least 1 picture')
    config = cli.load_config(args.config, args.cfg_options)
    loader = config.get(f'{args.phase}_dataloader')
    if loader is None:
        raise ConfigError(f'the config has no {args.phase}_dataloader: choose another --phase')
    init_default_scope(config.get('default_scope', 'mmdet'))
    dataset = DATASETS.build(loader.dataset)
    visualizer = VISUALIZERS.build({'type': 'CytologyVisualizer', 'name': 'browse_dataset'})
    visualizer.dataset_meta = dataset.metainfo
    out = args.out or Path('work_dirs') / 'browse' / Path(args.config).stem
    number = min(args.num or sys.maxsize, count_images(dataset), len(dataset))
    late = loads_truth_late(dataset)
    for index in track(range(number), 'Drawing', disable=args.show, transient=True):
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
            show=args.show,
            wait_time=args.wait_time,
            out_file=None if args.show else str(out / f'{args.phase}_{index:05d}_{stem}.jpg'),
        )
    if not args.show:
        print(f'{out}: {number} pictures')


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
