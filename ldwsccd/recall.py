"""Print how many cells the proposed regions reach, before anyone trains on them.

Examples:
    ldwsccd recall CONFIG --proposer blobs priors
    ldwsccd recall CONFIG CHECKPOINT --csv recall.csv
    ldwsccd recall CONFIG --proposer blobs --options 'sizes=[83]'

Proposers: config (its model.proposer), head (the student's own; needs CHECKPOINT), blobs, priors,
priors-even, selective-search, or a file of regions (.json, .npz). --save writes such a file.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from .arguments import add_config_options, pair


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('config', help='config of a training')
    add('checkpoint', nargs='?', help='weights, for --proposer head')
    add(
        '--proposer',
        nargs='+',
        metavar='NAME',
        help='see above (default: head with a checkpoint, else blobs)',
    )
    add(
        '--options',
        nargs='+',
        type=pair('KEY=VALUE'),
        metavar='KEY=VALUE',
        default=[],
        help="arguments of the proposer, as in 'sizes=[83]'; with one --proposer",
    )
    nums, overlaps = [10, 32, 64, 128, 256], [0.3, 0.5, 0.7]
    add('--num', nargs='+', type=int, default=nums, help='numbers of regions')
    add('--iou', nargs='+', type=float, default=overlaps, help='overlaps that count')
    add('--split', choices=['train', 'val', 'test'], default='val')
    add('--max-images', type=int, help='look only at so many, evenly spread')
    add('--csv', type=Path, help='also write the table to this file')
    add('--save', type=Path, metavar='FILE.npz', help='keep the regions')
    add_config_options(parser)


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check what goes together."""
    args.proposer = args.proposer or ['head' if args.checkpoint else 'blobs']
    if len(args.proposer) > 1 and (args.options or args.save):
        parser.error('--options and --save need one --proposer')
    if 'head' in args.proposer and not args.checkpoint:
        parser.error('--proposer head needs a CHECKPOINT')


def main(args: argparse.Namespace) -> None:
    """Measure each proposer, and print a table."""
    from mmdet.utils import register_all_modules
    from rich.console import Console
    from rich.progress import track

    from ldwsccd_mmdet.csv_table import write_csv
    from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
    from ldwsccd_mmdet.engine.config_file import load_config, read_options
    from ldwsccd_mmdet.engine.own_data import follow_annotation_files
    from ldwsccd_mmdet.engine.proposer_recall import ProposerRecall, build_proposer

    register_all_modules(init_default_scope=True)
    config = load_config(args.config, args.cfg_options, (f'{args.split}_dataloader',))
    follow_annotation_files(config)
    dataset = build_plain_dataset(config, args.split)
    options = read_options(args.options) if args.options else {}
    measurement = ProposerRecall(dataset, args.num, args.iou, args.max_images)
    header = ['proposer', 'regions', 'IoU', 'all', *dataset.metainfo['classes']]
    console = Console(emoji=False, width=None if sys.stdout.isatty() else 160)
    rows: list[list[str]] = []
    for kind in args.proposer:
        propose = build_proposer(kind, config, max(args.num), args.checkpoint, options)
        batches = list(measurement.batches())
        result = measurement.run(propose, track(batches, disable=not sys.stderr.isatty()))
        if args.save:
            result.save(args.save)
        mine = rows_of(kind, result.recall)
        console.print(table_of(kind, args.split, result, header, mine))
        rows += mine
    if args.csv:
        write_csv(args.csv, [header, *rows])


def rows_of(kind: str, recall: Any) -> list[list[str]]:
    """Rows of the table, in percent; empty where a class has no cell."""

    def percent(value: float) -> str:
        return '' if math.isnan(value) else f'{100 * value:.1f}'

    return [
        [
            kind,
            str(num),
            f'{iou:g}',
            percent(recall.recall_all[k, t]),
            *(percent(value) for value in recall.recall[k, t]),
        ]
        for t, iou in enumerate(recall.ious)
        for k, num in enumerate(recall.nums)
    ]


def table_of(kind: str, split: str, result: Any, header: list[str], rows: list[list[str]]) -> Any:
    """Lay the rows of one proposer out."""
    from rich.markup import escape
    from rich.table import Table

    recall = result.recall
    table = Table(
        title=f'{kind}: recall in % on {len(result.regions)} images of {split}, '
        f'{recall.num_cells.sum()} cells; {1000 * result.seconds:.0f} CPU ms and '
        f'{recall.mean_regions[-1]:.0f} regions an image'
    )
    for name in header[1:]:
        table.add_column(escape(name), justify='right')
    for index, row in enumerate(rows, start=1):
        table.add_row(*row[1:], end_section=index % len(recall.nums) == 0)
    table.add_row('', '', 'cells', *(str(n) for n in recall.num_cells))
    return table
