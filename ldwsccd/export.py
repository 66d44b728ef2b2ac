"""Export a student to ONNX or OpenVINO, for programs without torch and mmdet.

Examples:
    ldwsccd export work_dirs/mine/epoch_20.pth --out mine.onnx
    ldwsccd export CONFIG --weights FILE.pth --format openvino --out mine.xml --images photos/

The file holds normalisation and decoding; class names and sizes are in its metadata. It is compared
with torch before it is written. The student's own head gives the scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('model', help='a checkpoint, or a config with --weights')
    parser.add_argument('--weights', metavar='FILE', help='checkpoint of a config')
    parser.add_argument('--out', type=Path, metavar='FILE', help='default: beside the checkpoint')
    parser.add_argument(
        '--format', choices=list(SUFFIXES), help='default: by the name of --out, else onnx'
    )
    parser.add_argument(
        '--nms', action='store_true', help='put threshold and NMS into the file as well'
    )
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='IMAGE',
        help='images, or a folder, that file and torch are compared on (default: drawn ones)',
    )


def main(args: argparse.Namespace) -> None:
    """Export."""
    from ldwsccd_mmdet.apis.cell_inferencer import CellInferencer
    from ldwsccd_mmdet.apis.exporting import export_detector
    from ldwsccd_mmdet.apis.loading import load_detector
    from ldwsccd_mmdet.apis.sources import find_sources
    from ldwsccd_mmdet.errors import InputError
    from ldwsccd_mmdet.image_files import read_image

    kind = args.format or ('openvino' if str(args.out).endswith('.xml') else 'onnx')
    images = (
        [read_image(source.path) for source in find_sources(args.images)[:8]] if args.images else []
    )
    detector = load_detector(args.model, args.weights, 'cpu')
    if not isinstance(detector, CellInferencer):
        raise InputError(f"model '{args.model}' is exported already: give its checkpoint")
    out = args.out or Path(detector.checkpoint_file).with_suffix(SUFFIXES[kind])
    if out.suffix != SUFFIXES[kind]:
        raise InputError(
            f"--out: a file of --format {kind} ends in {SUFFIXES[kind]}, found '{out}'"
        )
    if detector.score_source != 'ssd':
        print(
            f"note: scores in torch are by '{detector.score_source}'; in the file they are the SSD "
            "head's own"
        )
    drawn = not images
    worst = export_detector(detector, out, images or drawn_images(), args.nms)
    print(
        f'{out}: differs from torch by at most {worst["boxes"]:.1e} px and {worst["scores"]:.1e} '
        f'in score, on {"drawn images" if drawn else f"{len(images)} images"}'
    )


def drawn_images() -> list:
    """Two pictures with blobs, where the user gives none."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    images = []
    for _ in range(2):
        image = np.full((300, 400, 3), (215, 190, 230), np.uint8)
        for _ in range(30):
            centre = (int(rng.integers(400)), int(rng.integers(300)))
            color = tuple(int(value) for value in rng.integers(20, 200, 3))
            cv2.circle(image, centre, int(rng.integers(4, 40)), color, -1)
        images.append(cv2.GaussianBlur(image, (0, 0), 2))
    return images
