"""Write one HTML page that compares trained detectors, from what they left on disk.

Examples:
    ldwsccd report work_dirs/ssd512 work_dirs/ldwsccd_ssd512 --out report.html
    ldwsccd report SSD=ssd.pkl LD-WSCCD=ld.pkl --ann val.json --csv results/ap.csv

    ldwsccd report LD-WSCCD=ld.pkl YOLO=runs/val/predictions.json --ann val.json
    ldwsccd report work_dirs/ldwsccd_ssd512    # while it trains: the curves so far

Each model is [NAME=]PATH, where PATH is a work directory that holds the predictions of
ldwsccd test --out, the .pkl itself, or both with a comma between. COCO's results json of any other
tool stands for a .pkl. Models of one name are seeds of one model. Beside report.html come report.md
and a folder of CSV files.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('models', nargs='+', metavar='[NAME=]PATH', help='what to compare with the first')
    add('--out', default='report.html', metavar='FILE.html', help='(default: report.html)')
    add('--csv', type=Path, metavar='FILE.csv', help='also write AP per class, one row a model')
    add('--ann', metavar='FILE.json', help="annotations (default: the ones of the models' configs)")
    add('--images', metavar='DIR', help='folder of the images (default: found by the configs)')
    add('--title', help='title of the page')
    add('--baseline', metavar='NAME', help='model that gains are over (default: the first)')
    add('--teacher', metavar='NAME', help='the teacher among them (default: as the configs say)')
    add('--classes', nargs='+', metavar='NAME', help='measure these classes only (default: all)')
    add(
        '--targets',
        nargs='+',
        metavar='NAME',
        help='classes whose cells make an image positive (default: all that are measured)',
    )
    add('--speed', metavar='FILE.csv', help='what models cost: model, latency_ms, gflops, ...')
    add('--iou-thr', type=float, default=0.5, help='overlap of a hit (default: 0.5)')
    add(
        '--score-thr',
        type=float,
        metavar='SCORE',
        help='score of precision, recall and pictures (default: where F1 is highest)',
    )
    add('--ap-mode', choices=['coco', 'voc'], default='coco', help='area under the curve')
    add('--max-dets', type=int, default=100, help='detections an image and class (default: 100)')
    add(
        '--rates',
        type=float,
        nargs='+',
        default=[1, 4, 16],
        metavar='FP',
        help='false positives an image where sensitivity is read (default: 1 4 16)',
    )
    add('--resamples', type=int, default=1000, help='of the bootstrap; 0: no intervals')
    add('--seed', type=int, default=0, help='seed of the bootstrap (default: 0)')
    add('--num-fields', type=int, default=4, help='whole images on the page (default: 4)')
    add('--num-errors', type=int, default=6, help='examples of each kind of error (default: 6)')
    add(
        '--trust-configs',
        action='store_true',
        help='run the configs in the work directories, instead of reading their plain values',
    )
    add('--backend', choices=['pycocotools', 'faster_coco_eval', 'auto'], default='auto')


def main(args: argparse.Namespace) -> None:
    """Measure, and write the page."""
    from ldwsccd_mmdet.experiments.report import (
        collect_report,
        parse_source,
        write_ap_table,
        write_report,
        write_training_page,
    )

    settings = dict(
        iou_thr=args.iou_thr,
        score_thr=args.score_thr,
        ap_mode=args.ap_mode,
        max_dets=args.max_dets,
        rates=args.rates,
        num_resamples=args.resamples,
        seed=args.seed,
        backend=args.backend,
        targets=args.targets,
    )
    sources = [parse_source(text, args.trust_configs) for text in args.models]
    if not any(source.predictions for source in sources):
        print(f'Page: {write_training_page(sources, args.out, args.title)}')
        return
    report = collect_report(
        sources,
        settings,
        ann=args.ann,
        images=args.images,
        title=args.title,
        baseline=args.baseline,
        teacher=args.teacher,
        classes=args.classes,
        speed=args.speed,
        num_fields=args.num_fields,
        num_errors=args.num_errors,
        command=args.command_line,
    )
    page = write_report(report, args.out)
    print(page.with_suffix('.md').read_text(encoding='utf-8').split('\n## ')[1].strip())
    if args.csv:
        print(f'\n{write_ap_table(report.models, report.baseline, args.csv)}')
    print(f'\nPage: {page}')
