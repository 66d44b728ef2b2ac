"""Write one HTML page that compares trained detectors, from what they left on disk.

Examples:
    python tools/report.py work_dirs/ssd512 work_dirs/ldwsccd_ssd512 --out report.html
    python tools/report.py SSD=ssd.pkl LD-WSCCD=ld.pkl --ann val.json --out report.html

Each model is [NAME=]PATH, where PATH is a work directory that holds the predictions of
tools/test.py --out, the .pkl itself, or both with a comma between. Models of one name are seeds of
one model. Beside report.html come report.md and a folder of CSV files.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pycocotools.coco import COCO

from ldwsccd_mmdet import __version__, cli
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments.report import Report, write_report
from ldwsccd_mmdet.experiments.report import sources as report_sources


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('models', nargs='+', metavar='[NAME=]PATH', help='what to compare with the first')
    add('--out', default='report.html', metavar='FILE.html', help='(default: report.html)')
    add('--ann', metavar='FILE.json', help="annotations (default: the ones of the models' configs)")
    add('--images', metavar='DIR', help='folder of the images (default: found by the configs)')
    add('--title', help='title of the page')
    add('--baseline', metavar='NAME', help='model that gains are over (default: the first)')
    add('--teacher', metavar='NAME', help='the teacher among them (default: as the configs say)')
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
    add('--backend', choices=['pycocotools', 'faster_coco_eval'], default='pycocotools')
    args = parser.parse_args(argv)
    words = sys.argv[1:] if argv is None else argv
    args.command = shlex.join(['python', 'tools/report.py', *words])
    return args


def facts(args: argparse.Namespace, truth: COCO, ann: Path) -> dict[str, object]:
    """Name what was evaluated, and how."""
    return {
        'Annotations': ann,
        'Images': len(truth.imgs),
        'Annotated boxes': len(truth.anns),
        'A hit': f'IoU {args.iou_thr:g} or more with a truth of its class',
        'Average precision': 'COCO, 101 recalls' if args.ap_mode == 'coco' else 'VOC, exact area',
        'Detections that count': f'{args.max_dets} an image and class',
        'Operating point': 'highest F1' if args.score_thr is None else f'score {args.score_thr:g}',
        'Intervals': f'{args.resamples} bootstrap samples of images, seed {args.seed}',
        'Backend': args.backend,
        'ldwsccd_mmdet': __version__,
    }


def main(args: argparse.Namespace) -> None:
    sources = [report_sources.parse_source(text) for text in args.models]
    names = list(dict.fromkeys(source.name for source in sources))
    for key in ('baseline', 'teacher'):
        if getattr(args, key) not in (None, *names):
            raise ConfigError(
                f"--{key} is '{getattr(args, key)}', expected one of {', '.join(names)}"
            )
    truth, ann = report_sources.find_truth(sources, args.ann)
    image_dir = report_sources.find_images(sources, truth, ann, args.images)
    teacher = args.teacher or report_sources.find_teacher(sources)
    models = report_sources.measure(
        sources,
        truth,
        teacher,
        iou_thr=args.iou_thr,
        score_thr=args.score_thr,
        ap_mode=args.ap_mode,
        max_dets=args.max_dets,
        rates=args.rates,
        num_resamples=args.resamples,
        seed=args.seed,
        backend=args.backend,
    )
    intro = []
    if image_dir is None:
        intro.append('The images were not found, so this page has no pictures (see --images).')
    if not any(len(p) for model in models for run in model.runs for p in run.predictions.values()):
        intro.append('No model has a single detection: was the right checkpoint tested?')
    baseline = args.baseline or (names[0] if len(names) > 1 else None)
    report = Report(
        title=args.title or f'Detectors on {ann.parent.name}/{ann.name}',
        truth=truth,
        image_dir=image_dir,
        models=models,
        baseline=baseline,
        teacher=teacher if len(names) > 1 else None,
        intro=intro,
        num_fields=args.num_fields,
        num_errors=args.num_errors,
        facts={'Evaluation': facts(args, truth, ann)},
        commands=['# this page', args.command, '# the models'],
    )
    page = write_report(report, args.out)
    print(page.with_suffix('.md').read_text(encoding='utf-8').split('\n## ')[1].strip())
    print(f'\nPage: {page}')


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
