"""Draw the pseudo-boxes that the MIL head finds in training images, and measure them.

Example:
    python tools/analysis_tools/browse_pseudo_boxes.py CONFIG CHECKPOINT \
        --out-dir work_dirs/pseudo --truth ../shared/data/cric/train.json

Left of each picture: the annotated boxes, if there are any. Right: the pseudo-boxes, with their
scores. --json FILE keeps all pseudo-boxes as COCO results.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmdet.registry import METRICS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import DictAction
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.datasets.bag_audit import bag_labels
from ldwsccd_mmdet.datasets.coco_json import load_truth, truth_boxes
from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
from ldwsccd_mmdet.models.detectors.student_regions import find_pseudo_boxes
from ldwsccd_mmdet.visualization.draw_detections import draw_detections


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Draw and measure pseudo-boxes.')
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
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to override in the config',
    )
    args = parser.parse_args(argv)
    args.local_rank = 0
    return args


def truth_of(dataset: Any, args: argparse.Namespace) -> 'dict[int, tuple[np.ndarray, np.ndarray]]':
    """True boxes and class indices of each image, from --truth or the set itself."""
    classes = list(dataset.metainfo['classes'])
    found = {}
    coco = load_truth(args.truth) if args.truth else None
    for index in range(len(dataset)):
        record = dataset.get_data_info(index)
        image_id = record['img_id']
        if coco is None:
            cells = [cell for cell in record['instances'] if not cell['ignore_flag']]
            boxes = np.array([cell['bbox'] for cell in cells], float).reshape(-1, 4)
            labels = np.array([cell['bbox_label'] for cell in cells], int)
        else:
            names = [category['name'] for category in coco.dataset['categories']]
            _, boxes, own = truth_boxes(coco, image_id)
            labels = np.array(
                [classes.index(names[i]) if names[i] in classes else -1 for i in own], int
            )
            boxes, labels = boxes[labels >= 0], labels[labels >= 0]
        found[image_id] = boxes, labels
    return found


def draw(
    image: np.ndarray, truth: tuple, found: Any, classes: list, score_thr: float
) -> np.ndarray:
    """The annotated boxes on the left, the pseudo-boxes on the right; RGB."""
    keep = (found.scores >= score_thr).cpu().numpy()
    boxes, labels, scores = (
        value.cpu().numpy()[keep] for value in (found.bboxes, found.labels, found.scores)
    )
    left = draw_detections(image, *truth, classes=classes, scale=1)
    right = draw_detections(image, boxes, labels, scores, classes=classes, scale=1)
    gap = np.full((len(left), 8, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)


def show(values: dict, metric: Any, console: Console) -> None:
    """Print the measures of each class, and what has collapsed."""
    table = Table(title='Pseudo-boxes')
    table.add_column('class')
    for name in ('boxes', 'CorLoc', 'AP', 'inside', 'covered', 'area'):
        table.add_column(name, justify='right')

    def cell(value: 'float | None') -> str:
        return '-' if value is None or np.isnan(value) else f'{value:.3f}'

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


def main(args: argparse.Namespace) -> None:
    register_all_modules(init_default_scope=True)
    config = cli.load_config(args.config, args.cfg_options)
    checkpoint = cli.find_checkpoint(args.checkpoint)
    dataset = build_plain_dataset(config, args.split)
    truth = truth_of(dataset, args)
    classes = list(dataset.metainfo['classes'])
    model: Any = MODELS.build(config.model)
    load_checkpoint(model, checkpoint, map_location='cpu')
    model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()
    regime = getattr(getattr(model, 'supervision', None), 'regime', 'box')
    metric: Any = METRICS.build({'type': 'PseudoBoxMetric'})
    metric.dataset_meta = dataset.metainfo
    drawn = set(np.linspace(0, len(dataset) - 1, min(args.num, len(dataset))).round().astype(int))
    rows: list[dict] = []
    if args.out_dir:
        args.out_dir.mkdir(parents=True, exist_ok=True)
    for index in track(range(len(dataset)), disable=not sys.stderr.isatty()):
        record = dataset.get_data_info(index)
        batch = model.data_preprocessor(pseudo_collate([dataset[index]]), False)
        labels = torch.tensor(bag_labels(record, len(classes), regime))[None]
        found = find_pseudo_boxes(model, batch['inputs'], batch['data_samples'], labels)[0]
        boxes, own = truth[record['img_id']]
        sample = batch['data_samples'][0]
        metric.process(
            None,
            [
                {
                    'img_id': record['img_id'],
                    'ori_shape': sample.ori_shape,
                    'pred_instances': found,
                    'gt_instances': {
                        'bboxes': torch.from_numpy(boxes),
                        'labels': torch.from_numpy(own),
                    },
                }
            ],
        )
        for box, label, score in zip(
            found.bboxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            rows.append(
                {
                    'image_id': record['img_id'],
                    'category_id': dataset.cat_ids[label],
                    'bbox': [x1, y1, x2 - x1, y2 - y1],
                    'score': score,
                }
            )
        if args.out_dir and index in drawn:
            image = mmcv.imread(record['img_path'], channel_order='rgb')
            picture = draw(image, (boxes, own), found, classes, args.score_thr)
            Image.fromarray(picture).save(args.out_dir / f'{Path(record["img_path"]).stem}.jpg')
    values = metric.compute_metrics(metric.results)
    show(values, metric, Console(width=None if sys.stdout.isatty() else 100))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(rows), encoding='utf-8')


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
