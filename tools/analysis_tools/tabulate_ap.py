"""Tabulate AP per class of several models on one annotated set, as CSV and Markdown.

Example:
    python tools/analysis_tools/tabulate_ap.py ../shared/data/cric/val.json \
        SSD=ssd.pkl 'LD-WSCCD=ldwsccd.pkl' --csv results/cric.csv

The .pkl files come from tools/test.py --out. The gain is over the first model named SSD, if any.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.csv_table import write_csv
from ldwsccd_mmdet.datasets.coco_json import load_truth
from ldwsccd_mmdet.evaluation import evaluate_detections, load_predictions
from ldwsccd_mmdet.experiments.report.tables import markdown_text


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Tabulate AP per class of several models.')
    parser.add_argument('annotations', help='COCO json of the truth')
    parser.add_argument('models', nargs='+', metavar='NAME=FILE.pkl', help='name and predictions')
    parser.add_argument('--iou-thr', type=float, default=0.5, help='overlap (default: 0.5)')
    parser.add_argument('--csv', type=Path, help='also write the table to this file')
    args = parser.parse_args(argv)
    for model in args.models:
        if '=' not in model:
            parser.error(f"'{model}': expected NAME=FILE.pkl, written by tools/test.py --out")
    return args


def tabulate(args: argparse.Namespace) -> list[list[str]]:
    """Rows of the table: header, one row a model, number of truths."""
    truth = load_truth(args.annotations)
    rows: list[list[str]] = []
    baseline: float | None = None
    for model in args.models:
        name, file = model.rsplit('=', 1)
        result = evaluate_detections(truth, load_predictions(file), iou_thr=args.iou_thr)
        if not rows:
            label = f'mAP@{round(100 * args.iou_thr)}'
            rows.append(['model', label, 'gain over SSD', *result.classes])
            truths = ['(number of boxes)', str(int(result.num_truths.sum())), '']
            truths += [str(int(number)) for number in result.num_truths]
        if name == 'SSD':
            baseline = result.mean_ap
        known = baseline is not None and name != 'SSD'
        gain = f'{100 * (result.mean_ap - baseline):+.1f}' if known else ''
        rows.append(
            [name, f'{100 * result.mean_ap:.1f}', gain, *(f'{100 * ap:.1f}' for ap in result.ap)]
        )
    return [*rows, truths]


def main(args: argparse.Namespace) -> int:
    rows = tabulate(args)
    print('| ' + ' | '.join(map(markdown_text, rows[0])) + ' |')
    print('|' + '---|' * len(rows[0]))
    for row in rows[1:]:
        print('| ' + ' | '.join(map(markdown_text, row)) + ' |')
    if args.csv:
        write_csv(args.csv, rows)
    return 0


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
