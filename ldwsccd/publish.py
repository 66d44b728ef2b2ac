"""Make a checkpoint to give away: the student alone, with its config and a hash in its name.

Examples:
    ldwsccd publish work_dirs/mine/epoch_20.pth --out mine.safetensors
    ldwsccd publish work_dirs/mine/epoch_20.pth --out mine.pth --test data/mine/test.json

Teacher, distillation, MIL head, optimizer and logs are left out. With --test the numbers of what is
left are measured, and kept in the file. The config inside is read without
being run: ldwsccd predict mine-12ab34cd.safetensors photos/ --out found
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('model', help='a checkpoint, or a config with --weights')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of a config')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='FILE', help='NAME.pth or NAME.safetensors'
    )
    parser.add_argument(
        '--keep-mil', action='store_true', help='keep the MIL head, for the scores of both heads'
    )
    parser.add_argument(
        '--test',
        type=Path,
        metavar='FILE.json',
        help='annotated images that it was not trained on: AP50 on them is kept in the file',
    )
    parser.add_argument(
        '--test-images', type=Path, metavar='DIR', help='their folder (default: found beside)'
    )


def main(args: argparse.Namespace) -> None:
    """Publish."""
    from ldwsccd_mmdet.apis.cell_inferencer import CellInferencer
    from ldwsccd_mmdet.apis.loading import load_detector
    from ldwsccd_mmdet.apis.publishing import measured_student, publish_checkpoint
    from ldwsccd_mmdet.apis.sources import images_beside
    from ldwsccd_mmdet.errors import InputError

    detector = load_detector(args.model, args.weights, 'cpu')
    if not isinstance(detector, CellInferencer):
        raise InputError(f"model '{args.model}' is exported already: give its checkpoint")
    results = None
    if args.test is not None:
        images = args.test_images or images_beside(args.test, '--test')
        results = measured_student(detector, args.test, images, args.keep_mil)
    file, what = publish_checkpoint(detector, args.out, args.keep_mil, results)
    print(f'{file}: {what}')
    if results is not None:
        print(
            f'AP50 {results["ap50"]} on {args.test}: {results["images"]} images with '
            f'{results["boxes"]} boxes'
        )
