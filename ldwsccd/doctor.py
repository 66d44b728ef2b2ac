r"""Check a data set before training on it.

Example:
    ldwsccd doctor data/bccd/train.json --other data/bccd/val.json data/bccd/test.json \
        --config ldwsccd_ssd512.py --pictures work_dirs/doctor

How many cells have no box only a detector can tell, that has learned some of the boxes: --found
takes what ldwsccd find-missing has left, or --predictions and --learned any other's.

Exit status: 0 nothing at or above --fail-on, 1 something, 2 the set can't be read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

STYLES = {'error': 'bold red', 'warning': 'yellow', 'note': 'cyan'}
# Share of the cells without a box from which on it is said what to do about them.
MANY_MISSING = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('annotations', help='COCO json of the set')
    parser.add_argument(
        '--images', help='folder of the images (default: that of --config, or images/)'
    )
    parser.add_argument(
        '--other',
        nargs='+',
        default=[],
        metavar='JSON',
        help='its other splits: no image may be in two of them',
    )
    parser.add_argument('--config', help='of a training: also compare the boxes with its anchors')
    parser.add_argument('--iou-thr', type=float, default=0.5, help='overlap of box and anchor')
    parser.add_argument('--annotations-only', action='store_true', help="don't open the images")
    parser.add_argument('--workers', type=int, default=2, help='threads that decode (default: 2)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='also write all findings here')
    parser.add_argument('--pictures', type=Path, metavar='DIR', help='draw the worst here')
    parser.add_argument('--num-pictures', type=int, default=4, help='pictures a finding')
    parser.add_argument(
        '--found',
        type=Path,
        metavar='DIR',
        help='folder of ldwsccd find-missing: also say how many cells may have no box',
    )
    parser.add_argument(
        '--predictions', type=Path, metavar='PKL', help='the same, of a detector of your own, ...'
    )
    parser.add_argument(
        '--learned', type=Path, metavar='JSON', help='... and the boxes that it had learned'
    )
    parser.add_argument(
        '--fail-on',
        choices=['error', 'warning', 'never'],
        default='error',
        help='least level that gives exit status 1 (default: error)',
    )


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check that what a detector found is named once and whole."""
    if (args.predictions is None) != (args.learned is None):
        parser.error('--predictions and --learned: give both, or neither')
    if args.found and args.predictions:
        parser.error('--found: leave it out, or --predictions and --learned')


def main(args: argparse.Namespace) -> int:
    """Examine, and print what was found."""
    from rich.console import Console
    from rich.progress import Progress

    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.errors import DatasetError
    from ldwsccd_mmdet.preparation.checks import LEVELS
    from ldwsccd_mmdet.preparation.checks.examine import examine, read_split
    from ldwsccd_mmdet.preparation.checks.missing_cells import find_mining, read_missing
    from ldwsccd_mmdet.preparation.checks.pictures import draw_finding

    console = Console(emoji=False)
    if args.images and not Path(args.images).is_dir():
        raise DatasetError(f"--images: '{args.images}' is no folder: name that of the images")
    config = load_config(args.config) if args.config else None
    split, *others = (
        read_split(path, args.images or (config and images_of(config, path)))
        for path in (args.annotations, *args.other)
    )
    found = find_mining(args.found) if args.found else (args.predictions, args.learned)
    missing = read_missing(args.annotations, *found) if found[0] else None
    total = sum(len(s.coco['images']) for s in (split, *others))
    with Progress(console=Console(emoji=False, stderr=True), transient=True) as bar:
        task = bar.add_task('Reading images', total=total)
        result = examine(
            split,
            others,
            config,
            args.iou_thr,
            not args.annotations_only,
            args.workers,
            lambda: bar.advance(task),
        )
    result.missing = missing
    print_text(result, console)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result.as_dict(), indent=1), encoding='utf-8')
    if args.pictures:
        drawn = sum(
            draw_finding(finding, split, others, args.num_pictures, args.pictures)
            for finding in result.findings
        )
        console.print(f'{args.pictures}: {drawn} pictures', markup=False)
    if args.fail_on == 'never':
        return 0
    worst = LEVELS[LEVELS.index(args.fail_on) :]
    return int(any(finding.level in worst for finding in result.findings))


def images_of(config: Any, annotations: str) -> Path | None:
    """The folder where a config has the images of an annotation file; None if it names no such."""
    from ldwsccd_mmdet.datasets.plain_dataset import innermost

    for split in ('train', 'val', 'test'):
        data = innermost((config.get(f'{split}_dataloader') or {}).get('dataset') or {})
        root, prefix = Path(data.get('data_root') or ''), data.get('data_prefix') or {}
        file = data.get('ann_file')
        if isinstance(file, str) and (root / file).resolve() == Path(annotations).resolve():
            return root / (prefix.get('img') or '')
    return None


def print_text(result: Any, console: Any) -> None:
    """Print classes, findings and the fit of the priors."""
    from rich.markup import escape
    from rich.table import Table

    from ldwsccd_mmdet.preparation.checks import LEVELS

    coco = result.split.coco
    console.print(
        f'[bold]{escape(result.split.name)}[/]: {len(coco["images"])} images, '
        f'{len(coco["annotations"])} boxes'
    )
    table = Table('class')
    for heading in ('boxes', 'images', 'side (px) 5 %', 'median', '95 %'):
        table.add_column(heading, justify='right')
    for name, row in result.classes.items():
        sides = [f'{side:g}' for side in row['side']] or ['', '', '']
        table.add_row(escape(str(name)), str(row['boxes']), str(row['images']), *sides)
    console.print(table)
    lines = [line for finding in result.findings for line in lines_of(finding)]
    if result.priors is not None:
        fit = result.priors
        shares = ', '.join(f'{size}: {100 * share:.1f} %' for size, share in fit.by_size.items())
        lines.append(
            f'priors at {fit.input_size[0]} x {fit.input_size[1]} px match '
            f'{100 * fit.matched:.1f} % of the boxes at IoU {fit.iou_thr:g}; '
            f'by input size {shares}'
        )
    lines += [escape(line) for line in lines_of_missing(result.missing)]
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    counts = ', '.join(f'{result.count(level)} {level}s' for level in reversed(LEVELS))
    console.print(f'[bold]{counts}[/]')


def lines_of_missing(missing: Any) -> list[str]:
    """Write how many cells may have no box, or how to find out."""
    if missing is None:
        return [
            'cells without a box: not known; ldwsccd find-missing CONFIG trains a detector that '
            'tells, and --found FOLDER shows it here'
        ]
    *classes, everything = missing
    lines = [f'{everything}; in brackets what 90 % of 200 draws of the images give']
    lines += [f'    {line}' for line in classes]
    if everything.missing >= MANY_MISSING:
        lines.append(
            '    → an SSD takes cells without a box for its hardest background: let it learn all '
            'of the background, model.bbox_head.far_weight=0.1, and find those cells, ldwsccd '
            'find-missing (docs/missing_boxes.md)'
        )
    return lines


def lines_of(finding: Any) -> list[str]:
    """Write a finding: what, where, and what to do."""
    from rich.markup import escape

    lines = [
        f'[{STYLES[finding.level]}]{finding.level}[/] {finding.check}: {escape(finding.message)}'
    ]
    if finding.items:
        listed = '; '.join(describe(item) for item in finding.items[:5])
        lines.append(f'    {escape(listed)}{", ..." if len(finding.items) > 5 else ""}')
    if finding.remedy:
        lines.append(f'    → {escape(finding.remedy)}')
    return lines


def describe(item: dict[str, Any]) -> str:
    """Write one affected thing in a line."""
    if 'images' in item:
        return ' = '.join(item['images'][:4]) + (' = ...' if len(item['images']) > 4 else '')
    text = str(item['image'])
    if 'annotation' in item:
        text += f' #{item["annotation"]} {item["class"]} {item["bbox"]}'
    if 'in truth' in item:
        text += f' {item["in the file"]}, in truth {item["in truth"]}'
        text += f' ({item["why"]})' if item.get('why') else ''
    return text
