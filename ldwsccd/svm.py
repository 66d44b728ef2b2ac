r"""Train the second stage of R-CNN or SPP-Net: support vector machines and ridge regression.

Examples:
    ldwsccd train configs/rcnn/rcnn_mobilenetv2_bccd.py --amp
    ldwsccd svm configs/rcnn/rcnn_mobilenetv2_bccd_svm.py \
        work_dirs/rcnn_mobilenetv2_bccd/epoch_40.pth --out work_dirs/rcnn_svm.pth
    ldwsccd test configs/rcnn/rcnn_mobilenetv2_bccd_svm.py work_dirs/rcnn_svm.pth

Needs scikit-learn: pip install 'ldwsccd_mmdet[rcnn]'
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('config', help='config whose model.roi_head.bbox_head is a SVMBBoxHead')
    add('checkpoint', help='of the network, trained with the config that this one begins with')
    add('--out', type=Path, required=True, help='the checkpoint to write (.pth)')
    add('--seed', type=int, default=0, help='of the machines (default: 0)')
    add('--cfg-options', nargs='+', metavar='KEY=VALUE', help='override settings of the config')


def main(args: argparse.Namespace) -> None:
    """Train, and say what each class was trained on."""
    from mmdet.utils import register_all_modules
    from rich.progress import track

    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.own_data import follow_annotation_files
    from ldwsccd_mmdet.engine.svm_training import train_svms
    from ldwsccd_mmdet.preparation.converters import check_new

    def bar(chunks: Iterable[list[int]], title: str) -> Iterable[list[int]]:
        return track(list(chunks), title, disable=not sys.stderr.isatty())

    check_new(args.out)
    register_all_modules(init_default_scope=True)
    config = load_config(args.config, args.cfg_options, need=('model',))
    follow_annotation_files(config)
    for row in train_svms(config, args.checkpoint, args.out, args.seed, bar):
        print(
            f'{row.name}: {row.positives} boxes, {row.seen} negatives seen and {row.negatives} '
            f'kept, trained {row.trainings} times; boxes from {row.pairs} regions'
            + ('' if row.positives else '; without a box this class is never found')
        )
    print(f'{args.out}: test it with {args.config}')
