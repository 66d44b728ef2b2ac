"""Draw what local distillation sees: mask, attention of teacher and student, feature error.

Examples:
    python tools/analysis_tools/browse_distillation.py CONFIG --num 2
    python tools/analysis_tools/browse_distillation.py CONFIG --checkpoint epoch_40.pth --levels 0 1

One PNG an image, one row a pair of levels. Images are read as for validation, without augmentation,
and the student is in evaluation mode. Without --checkpoint it is as initialised.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.utils import register_all_modules
from mmengine.config import DictAction
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
from ldwsccd_mmdet.engine.distilled_student import build_distilled_student
from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.models.detectors import LDWSCCDMixin
from ldwsccd_mmdet.models.losses import DistillationMaps
from ldwsccd_mmdet.visualization.distillation_maps import plot_distillation_maps


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of a distilled training')
    parser.add_argument(
        '--checkpoint', metavar='STUDENT.pth', help='a trained student (default: as initialised)'
    )
    parser.add_argument('--num', type=int, default=4, help='images, evenly spread (default: 4)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/distillation_maps'))
    parser.add_argument(
        '--levels', nargs='+', type=int, help='pairs of levels, counted from 0 (default: all)'
    )
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--no-image', action='store_true', help='leave the photograph out, to show the maps alone'
    )
    parser.add_argument('--dpi', type=int, default=80, help='pixels an inch (default: 80)')
    parser.add_argument('--seed', type=int, default=0, help="of the student's initial weights")
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to override in the config',
    )
    args = parser.parse_args(argv)
    if args.num < 1:
        parser.error(f'--num: expected at least 1, found {args.num}')
    return args


def boxes_of(dataset: Any, index: int, sample: Any) -> InstanceData:
    """The boxes of an image in pixels of its resized tensor.

    A pipeline of validation may leave them in pixels of the file: they are taken from there.
    """
    cells = [
        cell for cell in dataset.get_data_info(index)['instances'] if not cell.get('ignore_flag')
    ]
    x, y = sample.metainfo.get('scale_factor', (1.0, 1.0))[:2]
    boxes = np.array([cell['bbox'] for cell in cells], np.float32).reshape(-1, 4)
    return InstanceData(
        bboxes=torch.from_numpy(boxes * np.array([x, y, x, y], np.float32)),
        labels=torch.tensor([cell['bbox_label'] for cell in cells], dtype=torch.long),
    )


@torch.no_grad()
def maps_of(
    student: LDWSCCDMixin, item: dict, cells: InstanceData
) -> 'tuple[list[DistillationMaps], np.ndarray, tuple[int, int]]':
    """Maps of one image, the boxes that make its mask, and the size of its batch tensor."""
    data = student.data_preprocessor(pseudo_collate([item]), False)
    data['data_samples'][0].gt_instances = cells.to(data['inputs'].device)
    inputs = student.distillation_inputs(
        student.extract_feat(data['inputs']), data['inputs'], data['data_samples']
    )
    maps = student.distillation.maps(**inputs)
    return maps, inputs['bboxes'][0].cpu().numpy(), inputs['input_size']


def main(args: argparse.Namespace) -> None:
    register_all_modules(init_default_scope=True)
    config = cli.load_config(args.config, args.cfg_options)
    cli.check_classes(config, [args.split])
    MMLogger.get_instance('distillation').setLevel('WARNING')  # not how each weight began
    set_random_seed(args.seed)
    student, which = build_distilled_student(config, args.checkpoint)
    student.eval()
    num_pairs = len(student.distillation.student_channels)
    levels = list(range(num_pairs)) if args.levels is None else args.levels
    if not set(levels) <= set(range(num_pairs)):
        raise ConfigError(
            f'--levels: expected numbers from 0 to {num_pairs - 1}, one a pair of levels in '
            f'model.distillation, found {" ".join(map(str, levels))}'
        )
    dataset = build_plain_dataset(config, args.split)
    if len(dataset) == 0:
        raise DatasetError(f'{args.split}_dataloader.dataset: expected images, found none')
    args.out.mkdir(parents=True, exist_ok=True)
    indices = np.linspace(0, len(dataset) - 1, min(args.num, len(dataset))).round().astype(int)
    for index in map(int, indices):
        item = dataset[index]
        maps, bboxes, input_size = maps_of(
            student, item, boxes_of(dataset, index, item['data_samples'])
        )
        file = Path(item['data_samples'].img_path)
        figure = plot_distillation_maps(
            [maps[level] for level in levels],
            bboxes,
            input_size,
            None if args.no_image else item['inputs'].permute(1, 2, 0).numpy()[..., ::-1],
            title=f'{file.name}, {len(bboxes)} boxes; {which}',
        )
        stem = re.sub(r'[^\w.-]', '_', file.stem)
        out = args.out / f'{index:05d}_{stem}.png'
        figure.savefig(out, dpi=args.dpi)
        print(out)


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
