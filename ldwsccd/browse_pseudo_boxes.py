r"""Draw the pseudo-boxes that the MIL head finds in training images, and measure them.

Example:
    ldwsccd browse-pseudo-boxes CONFIG CHECKPOINT --out-dir work_dirs/pseudo \
        --truth data/cric/train.json

Left of each picture: the annotated boxes, if there are any. Right: the pseudo-boxes, with their
scores. --json FILE keeps all pseudo-boxes as COCO results.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .arguments import add_config_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('config', help='config of a training with a MIL head')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('--out-dir', type=Path, help='draw into this folder')
    parser.add_argument('--num', type=int, default=16, help='pictures to draw (default: 16)')
    parser.add_argument('--score-thr', type=float, default=0.0, help='draw boxes from this score')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--truth',
        metavar='FILE.json',
        help='COCO json of the true boxes, where the set has image labels alone',
    )
    parser.add_argument('--json', type=Path, help='keep the pseudo-boxes as COCO results')
    add_config_options(parser)


def main(args: argparse.Namespace) -> None:
    """Find, measure and draw."""
    import numpy as np
    from mmdet.registry import METRICS
    from mmdet.utils import register_all_modules
    from rich.console import Console
    from rich.progress import track

    from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.find_checkpoint import find_checkpoint
    from ldwsccd_mmdet.engine.own_data import follow_annotation_files
    from ldwsccd_mmdet.engine.pseudo_boxes import build_detector, find_pseudo_boxes, true_boxes
    from ldwsccd_mmdet.visualization.pseudo_box_pictures import draw_pseudo_boxes

    register_all_modules(init_default_scope=True)
    config = load_config(args.config, args.cfg_options, need=('model',))
    follow_annotation_files(config)
    checkpoint = find_checkpoint(args.checkpoint)
    dataset = build_plain_dataset(config, args.split)
    truth = true_boxes(dataset, args.truth)
    model = build_detector(config, checkpoint)
    metric: Any = METRICS.build({'type': 'PseudoBoxMetric'})
    metric.dataset_meta = dataset.metainfo
    drawn = set(np.linspace(0, len(dataset) - 1, min(args.num, len(dataset))).round().astype(int))
    rows: list[dict] = []
    for index in track(range(len(dataset)), disable=not sys.stderr.isatty()):
        sample, results = find_pseudo_boxes(model, dataset, index, truth)
        metric.process(None, [sample])
        rows += results
        if args.out_dir and index in drawn:
            record = dataset.get_data_info(index)
            draw_pseudo_boxes(
                record['img_path'],
                sample,
                dataset.metainfo['classes'],
                args.out_dir,
                args.score_thr,
            )
    values = metric.compute_metrics(metric.results)
    show(values, metric, Console(emoji=False, width=None if sys.stdout.isatty() else 100))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows), encoding='utf-8')


def show(values: dict, metric: Any, console: Any) -> None:
    """Print the measures of each class, and what has collapsed."""
    from math import isnan

    from rich.markup import escape
    from rich.table import Table

    def cell(value: float | None) -> str:
        return '-' if value is None or isnan(value) else f'{value:.3f}'

    table = Table(title='Pseudo-boxes')
    table.add_column('class')
    for name in ('boxes', 'CorLoc', 'AP', 'inside', 'covered', 'area'):
        table.add_column(name, justify='right')
    for entry in metric.watched:
        table.add_row(
            escape(entry.name),
            str(entry.num_boxes),
            cell(values.get(f'{entry.name}_corloc')),
            cell(values.get(f'{entry.name}_AP')),
            cell(entry.inside),
            cell(entry.covered),
            cell(entry.area_share),
        )
    table.add_section()
    count = sum(entry.num_boxes for entry in metric.watched)
    table.add_row('mean', str(count), cell(values.get('corloc')), cell(values.get('mAP')))
    console.print(table)
    console.print(
        'inside, covered and area are medians: the part of a box that lies in its cell, the part '
        'of the cell that it covers, its share of the image'
    )
