"""Print how many cells the proposed regions reach, before anyone trains on them.

Examples:
    python tools/analysis_tools/proposal_recall.py CONFIG --proposer blobs priors
    python tools/analysis_tools/proposal_recall.py CONFIG CHECKPOINT --csv recall.csv
    python tools/analysis_tools/proposal_recall.py CONFIG --proposer blobs --options 'sizes=[83]'

Proposers: config (its model.proposer), head (the student's own; needs CHECKPOINT), blobs, priors,
priors-even, selective-search, or a file of regions (.json, .npz). --save writes such a file.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import register_all_modules
from mmengine.config import Config, DictAction
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.csv_table import write_csv
from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation.functional import ProposalRecall, proposal_recall
from ldwsccd_mmdet.models.detectors.student_regions import student_regions

Propose = Callable[[dict], list[tuple[np.ndarray, np.ndarray]]]
KINDS = ('config', 'head', 'blobs', 'priors', 'priors-even', 'selective-search')


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Recall of proposals by class and number.')
    parser.add_argument('config', help='config of a training')
    parser.add_argument('checkpoint', nargs='?', help='weights, for --proposer head')
    parser.add_argument(
        '--proposer',
        nargs='+',
        metavar='NAME',
        help=f'{", ".join(KINDS)}, or a file (default: head with a checkpoint, else blobs)',
    )
    parser.add_argument(
        '--options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        default={},
        help="arguments of the proposer, as in 'sizes=[83]'; with one --proposer",
    )
    parser.add_argument(
        '--num', nargs='+', type=int, default=[10, 32, 64, 128, 256], help='numbers of regions'
    )
    parser.add_argument(
        '--iou', nargs='+', type=float, default=[0.3, 0.5, 0.7], help='overlaps that count'
    )
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='val')
    parser.add_argument('--max-images', type=int, help='look only at so many, evenly spread')
    parser.add_argument('--csv', type=Path, help='also write the table to this file')
    parser.add_argument('--save', type=Path, metavar='FILE.npz', help='keep the regions')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to override in the config',
    )
    args = parser.parse_args(argv)
    args.proposer = args.proposer or ['head' if args.checkpoint else 'blobs']
    if len(args.proposer) > 1 and (args.options or args.save):
        parser.error('--options and --save need one --proposer')
    if 'head' in args.proposer and not args.checkpoint:
        parser.error('--proposer head needs a CHECKPOINT')
    args.local_rank = 0
    return args


def build_proposer(kind: str, config: Config, args: argparse.Namespace) -> Propose:
    """Give a function from a collated batch to boxes (batch frame) and scores of each image."""
    most = max(args.num)
    if kind == 'head':
        return _head(config, args.checkpoint, most)
    settings: dict[str, Any] = {'max_per_img': most}
    if kind == 'config':
        if not config.model.get('proposer'):
            raise ConfigError('--proposer config needs model.proposer, found none in the config')
        settings |= config.model.proposer
    elif kind == 'blobs':
        settings |= {'type': 'NucleusBlobProposer'}
    elif kind == 'selective-search':
        settings |= {'type': 'SelectiveSearchProposer'}
    elif kind in ('priors', 'priors-even'):
        generator = (config.model.get('bbox_head') or config.model.get('rpn_head') or {}).get(
            'anchor_generator'
        )
        if generator is None:
            raise ConfigError(
                f'--proposer {kind} needs model.bbox_head.anchor_generator, found none'
            )
        rank = 'even' if kind == 'priors-even' else 'contrast'
        settings |= {'type': 'PriorProposer', 'anchor_generator': generator, 'rank': rank}
    elif Path(kind).suffix in ('.json', '.npz'):
        settings |= {'type': 'FileProposer', 'file': kind}
    else:
        raise ConfigError(
            f'--proposer {kind}: expected {", ".join(KINDS)}, or a .json or .npz file'
        )
    proposer = TASK_UTILS.build({**settings, **args.options})
    preprocessor = MODELS.build(config.model.data_preprocessor)

    def propose(batch: dict) -> list[tuple[np.ndarray, np.ndarray]]:
        data = preprocessor(batch, False)
        metas = [sample.metainfo for sample in data['data_samples']]
        return _arrays(proposer(data['inputs'], metas, preprocessor))

    return propose


def _head(config: Config, checkpoint: str, most: int) -> Propose:
    """The regions of the student's own head: the SSD head's, or the RPN's."""
    if 'rpn_head' in config.model:
        config.model.test_cfg.rpn.max_per_img = most
    model = MODELS.build(config.model)
    load_checkpoint(model, cli.find_checkpoint(checkpoint), map_location='cpu')
    model.eval()

    @torch.no_grad()
    def propose(batch: dict) -> list[tuple[np.ndarray, np.ndarray]]:
        data = model.data_preprocessor(batch, False)
        feats = model.extract_feat(data['inputs'])
        return _arrays(student_regions(model, feats, data['data_samples'], most))

    return propose


def _arrays(found: list) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(item.bboxes.cpu().numpy(), item.scores.cpu().numpy()) for item in found]


def _batches(dataset: Any, indices: np.ndarray, size: int = 4) -> Iterator[dict]:
    for start in range(0, len(indices), size):
        yield pseudo_collate([dataset[int(i)] for i in indices[start : start + size]])


def measure(
    propose: Propose, dataset: Any, indices: np.ndarray, args: argparse.Namespace
) -> tuple[ProposalRecall, dict[str, np.ndarray], float]:
    """Recall, the regions by image id in pixels of the image files, CPU seconds an image."""
    regions: dict[str, np.ndarray] = {}
    spent = 0.0
    batches = list(range(0, len(indices), 4))
    show = sys.stderr.isatty()
    for batch in track(_batches(dataset, indices), total=len(batches), disable=not show):
        samples = batch['data_samples']
        start = time.process_time()
        found = propose(batch)
        spent += time.process_time() - start
        for sample, (bboxes, scores) in zip(samples, found, strict=True):
            x, y = sample.scale_factor[:2] if 'scale_factor' in sample else (1.0, 1.0)
            boxes = bboxes / np.array([x, y, x, y], np.float32)
            regions[str(sample.img_id)] = np.concatenate([boxes, scores[:, None]], axis=1)
    cells = [dataset.get_data_info(int(i))['instances'] for i in indices]
    result = proposal_recall(
        [region[:, :4] for region in regions.values()],
        [np.array([cell['bbox'] for cell in own], float).reshape(-1, 4) for own in cells],
        [np.array([cell['bbox_label'] for cell in own], int) for own in cells],
        len(dataset.metainfo['classes']),
        args.num,
        args.iou,
    )
    return result, regions, spent / max(len(indices), 1)


def rows_of(kind: str, result: ProposalRecall) -> list[list[str]]:
    """Rows of the table, in percent; empty where a class has no cell."""

    def percent(value: float) -> str:
        return '' if math.isnan(value) else f'{100 * value:.1f}'

    return [
        [
            kind,
            str(num),
            f'{iou:g}',
            percent(result.recall_all[k, t]),
            *(percent(value) for value in result.recall[k, t]),
        ]
        for t, iou in enumerate(result.ious)
        for k, num in enumerate(result.nums)
    ]


def main(args: argparse.Namespace) -> None:
    register_all_modules(init_default_scope=True)
    config = cli.load_config(args.config, args.cfg_options)
    dataset = build_plain_dataset(config, args.split)
    count = min(args.max_images or len(dataset), len(dataset))
    indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)
    classes = dataset.metainfo['classes']
    header = ['proposer', 'regions', 'IoU', 'all', *classes]
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows: list[list[str]] = []
    for kind in args.proposer:
        result, regions, seconds = measure(
            build_proposer(kind, config, args), dataset, indices, args
        )
        if args.save:
            args.save.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(args.save, **regions)
        table = Table(
            title=f'{kind}: recall in % on {count} images of {args.split}, '
            f'{result.num_cells.sum()} cells; {1000 * seconds:.0f} CPU ms and '
            f'{result.mean_regions[-1]:.0f} regions an image'
        )
        for name in header[1:]:
            table.add_column(escape(name), justify='right')
        mine = rows_of(kind, result)
        for index, row in enumerate(mine, start=1):
            table.add_row(*row[1:], end_section=index % len(result.nums) == 0)
        table.add_row('', '', 'cells', *(str(n) for n in result.num_cells))
        console.print(table)
        rows += mine
    if args.csv:
        write_csv(args.csv, [header, *rows])


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
