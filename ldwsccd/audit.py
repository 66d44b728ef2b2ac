"""Say which classes image labels cannot teach: those in nearly all images, and those in none.

Examples:
    ldwsccd audit ldwsccd_ssd512-narrow_cric.py
    ldwsccd audit train.json --json
    ldwsccd audit train.json --csv classes.csv

An image is a bag of regions. Its labels are what model.supervision of the config says: the classes
of its boxes, or its image_labels; of a file, its image_labels where it has no boxes. Exit code: 0,
or 1 if a class cannot be learnt.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from .arguments import add_config_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('source', help='config of a training, or COCO json')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train')
    parser.add_argument(
        '--ubiquitous',
        type=float,
        metavar='SHARE',
        help='a class in more than this share of the images is everywhere (default: 0.95)',
    )
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    parser.add_argument(
        '--csv', type=Path, metavar='FILE', help='also write one row a class to this file'
    )
    parser.add_argument(
        '--image-labels',
        action='store_true',
        help="audit the images' own image_label(s) instead of the classes of their boxes",
    )
    add_config_options(parser)


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check that the share is one."""
    if args.ubiquitous is not None and not 0 < args.ubiquitous <= 1:
        parser.error(f'--ubiquitous {args.ubiquitous:g}: expected a share in (0, 1]')


def main(args: argparse.Namespace) -> int:
    """Audit, and print."""
    with contextlib.redirect_stdout(sys.stderr):  # pycocotools reports on stdout
        result = audit(args)
    if args.json:
        print(json.dumps(result.as_dict(), indent=1, allow_nan=False))
    else:
        show(result)
    if args.csv:
        write(result, args.csv)
    return 1 if result.problems else 0


def audit(args: argparse.Namespace) -> Any:
    """Audit a config's split, or an annotation file with all of its classes."""
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    from ldwsccd_mmdet.datasets import CervicalCellDataset
    from ldwsccd_mmdet.datasets.bag_audit import UBIQUITOUS, audit_bags
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.datasets.plain_dataset import data_infos
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.own_data import follow_annotation_files
    from ldwsccd_mmdet.errors import ConfigError

    regime = 'mixed'
    if args.source.endswith('.json'):
        classes = [category['name'] for category in load_coco(args.source)['categories']]
        dataset = CervicalCellDataset(
            ann_file=args.source,
            metainfo={'classes': classes},
            check_images=False,
            data_prefix={'img': ''},
            filter_cfg={'filter_empty_gt': False},
        )
    else:
        register_all_modules(init_default_scope=True)
        config = load_config(args.source, args.cfg_options)
        follow_annotation_files(config)
        loader = config.get(f'{args.split}_dataloader')
        if not loader:
            raise ConfigError(f'the config has no {args.split}_dataloader: choose another --split')
        dataset = DATASETS.build(loader.dataset)
        supervision = config.get('model', {}).get('supervision') or {}
        regime = supervision.get('regime', 'box')
    regime = 'image' if args.image_labels else regime
    ubiquitous = args.ubiquitous or UBIQUITOUS
    return audit_bags(data_infos(dataset), dataset.metainfo['classes'], ubiquitous, regime)


def write(result: Any, path: Path) -> None:
    """Write one row a class, and one for the images without any."""
    from ldwsccd_mmdet.csv_table import write_csv

    rows: list[list[Any]] = [['class', 'images', 'with_it', 'share', 'cells']]
    counts = zip(result.classes, result.bags, result.share, result.cells, strict=True)
    rows += [[name, result.num_images, n, f'{share:.4f}', c] for name, n, share, c in counts]
    empty = result.empty / max(result.num_images, 1)
    rows.append(['', result.num_images, result.empty, f'{empty:.4f}', 0])
    write_csv(path, rows)


def show(result: Any) -> None:
    """Print the table and what is wrong."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(emoji=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f'{result.num_images} images')
    table.add_column('class')
    for name in ('bags', 'share', 'cells', 'cells a bag'):
        table.add_column(name, justify='right')
    for i, name in enumerate(result.classes):
        bad = name in result.everywhere or name in result.nowhere
        per_bag = result.cells_per_bag[i]
        table.add_row(
            escape(name),
            str(result.bags[i]),
            f'{result.share[i]:.1%}',
            str(result.cells[i]),
            '' if math.isnan(per_bag) else f'{per_bag:.1f}',
            style='red' if bad else None,
        )
    console.print(table)
    per_image = result.cells_per_image
    cells = 'no box' if math.isnan(per_image) else f'{per_image:.1f} cells an image with boxes'
    console.print(
        f'{result.labels_per_image:.2f} classes an image; {cells}; {result.empty} images without '
        f'a class; {result.image_only} with image labels alone',
        highlight=False,
    )
    for problem in result.problems:
        console.print(f'[red]MIL cannot learn all:[/red] {escape(problem)}', highlight=False)
