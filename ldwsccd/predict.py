"""Find cells in images, folders and slides.

Examples:
    ldwsccd predict work_dirs/mine/epoch_20.pth photos/ --out work_dirs/found
    ldwsccd predict mine.onnx 'slides/*.svs' --tile auto --out work_dirs/slides

DIR gets cells.csv (a row a cell), results.json (COCO), counts.csv, geojson/ (for QuPath) and
pictures/. Run again, the same command goes on where it was stopped. Several processes share the
images: torchrun --nproc-per-node 4 -m ldwsccd predict ... (RANK and WORLD_SIZE). Exit status: 0, or
1 if some images could not be read (failed.csv).
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

#: Score cut where neither the user nor the model says one.
DEFAULT_SCORE = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('model', help='a config, a checkpoint, or an exported .onnx or .xml')
    parser.add_argument(
        'images', nargs='+', help="images, slides, folders of them, or patterns such as 'a/*.svs'"
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='for the results')
    parser.add_argument(
        '--weights', metavar='FILE', help='checkpoint of a config (default: of its work directory)'
    )
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: the GPU if there is one)')
    parser.add_argument(
        '--score-thr',
        type=score,
        metavar='SCORE',
        help='least score of a cell; default: that of the best F1, measured with --val or in '
        f'training, else {DEFAULT_SCORE}',
    )
    parser.add_argument(
        '--val',
        type=Path,
        metavar='FILE.json',
        help='annotated images, not those of a test, on which the score of the best F1 is chosen',
    )
    parser.add_argument(
        '--val-images', type=Path, metavar='DIR', help='their folder (default: found beside --val)'
    )
    parser.add_argument(
        '--tile',
        metavar='SIZE',
        help="look at images in tiles: 'auto' (the size of the training images), 640 or 1269x941",
    )
    parser.add_argument('--overlap', type=float, default=0.2, help='of tiles (default: 0.2)')
    parser.add_argument('--batch-size', type=int, default=4, help='tiles at once (default: 4)')
    parser.add_argument('--workers', type=int, default=2, help='that read slides (default: 2)')
    parser.add_argument(
        '--all-tiles', action='store_true', help='do not leave out tiles of slides without tissue'
    )
    parser.add_argument('--mpp', type=float, help='micrometres a pixel of the images')
    parser.add_argument(
        '--ann-file',
        type=Path,
        metavar='FILE.json',
        help='give results.json the ids of this COCO file, so that it can be measured with it',
    )
    parser.add_argument('--no-pictures', action='store_true', help='draw no pictures')


def score(text: str) -> float:
    """Read a score from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'expected a number from 0 to 1, found {text}')
    return value


def main(args: argparse.Namespace) -> int:
    """Predict."""
    from ldwsccd_mmdet.apis.loading import load_detector
    from ldwsccd_mmdet.apis.prediction import (
        PredictionSettings,
        predict_images,
        read_ids,
    )
    from ldwsccd_mmdet.apis.sources import find_sources
    from ldwsccd_mmdet.apis.tiled_detection import Tiling, tile_size

    sources = find_sources(args.images)  # before seconds are spent on the model
    rank, world_size = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    device = args.device
    if device is None and world_size > 1 and not args.model.endswith(('.onnx', '.xml')):
        device = _device_of_rank()
    detector = load_detector(args.model, args.weights, device)
    tiling = None
    if args.tile is not None:
        tiling = Tiling(
            tile_size(args.tile, detector.info),
            args.overlap,
            args.batch_size,
            args.workers,
            not args.all_tiles,
        )
    settings = PredictionSettings(
        _score(args, detector, tiling), tiling, args.mpp, not args.no_pictures
    )
    ids = read_ids(args.ann_file, detector.info.classes) if args.ann_file else None
    with _Bar(rank) as bar:
        run = predict_images(
            detector, sources, args.out, settings, ids, bar.warn, bar, rank, world_size
        )
    return _say(run, args.out, settings)


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Check what arguments mean, without loading anything."""
    if args.batch_size < 1 or args.workers < 0:
        parser.error('--batch-size must be at least 1, and --workers at least 0')
    if args.mpp is not None and not args.mpp > 0:
        parser.error(f'--mpp: expected micrometres a pixel, above 0, found {args.mpp:g}')
    if not 0 <= args.overlap < 1:
        parser.error(f'--overlap: expected a part from 0 up to, but not, 1, found {args.overlap:g}')


def _device_of_rank() -> str | None:
    """A GPU of its own for each process of a machine, where there are GPUs."""
    import torch

    if not torch.cuda.is_available():
        return None
    return f'cuda:{int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count()}'


def _score(args: argparse.Namespace, detector: Any, tiling: Any) -> float:
    """Choose the score cut: given, measured, the model's own, or the usual one; say which."""
    if args.score_thr is not None:
        return args.score_thr
    if args.val is not None:
        from ldwsccd_mmdet.apis.sources import images_beside
        from ldwsccd_mmdet.errors import InputError
        from ldwsccd_mmdet.optional import HAS_MMDET

        images = args.val_images or images_beside(args.val, '--val')
        if not HAS_MMDET:
            raise InputError('--val measures with mmdet, which is not installed: give --score-thr')
        from ldwsccd_mmdet.apis.score_choice import best_f1_score

        with _Bar(0) as bar:
            best = best_f1_score(detector, args.val, images, tiling, bar)
        print(f'score cut {best:.3f}: the best F1 on {args.val}')
        return round(best, 4)
    if detector.info.score_thr is not None:
        print(f'score cut {detector.info.score_thr:.3f}: the best F1 at validation, says the model')
        return round(detector.info.score_thr, 4)
    print(
        f'score cut {DEFAULT_SCORE}: neither the model nor you say one; --val VAL.json finds '
        'the best'
    )
    return DEFAULT_SCORE


def _say(run: Any, out: Path, settings: Any) -> int:
    """Sum the run up."""
    kept = f' ({run.kept} of an earlier run)' if run.kept else ''
    print(
        f'{run.cells} cells of score {settings.score_thr:g} and more in {len(run.done)} '
        f'images{kept}: {out / "cells.csv"}, counts.csv, results.json, geojson/'
    )
    if run.waiting:
        print(f'{run.waiting} images are with other processes: the last one completes the files')
    if run.failed:
        print(
            f'{len(run.failed)} images could not be read: {out / "failed.csv"} says why',
            file=sys.stderr,
        )
    return 1 if run.failed else 0


class _Bar:
    """A progress bar on a terminal; elsewhere warnings alone."""

    def __init__(self, rank: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        self._progress = Progress(
            console=Console(emoji=False, stderr=True),
            transient=True,
            disable=rank > 0 or not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task('')

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, done: float, total: int, name: str) -> None:
        from rich.markup import escape

        self._progress.update(self._task, completed=done, total=total, description=escape(name))

    def warn(self, text: str) -> None:
        print(f'warning: {text}', file=sys.stderr)
