r"""Convert Darknet's weights of YOLOv1, YOLOv2 or YOLOv4 into a checkpoint of mmdet.

Examples:
    ldwsccd darknet yolov4.weights yolov4_coco.pth
    ldwsccd darknet yolov4.conv.137 yolov4_conv137.pth --partial
    ldwsccd darknet yolov2.weights yolov2_coco.pth --config _base_/models/yolov2.py
    ldwsccd train yolov4_csp-d53_adamw_ccd.py \
        --cfg-options load_from=yolov4_conv137.pth

Predictions of another number of classes do not fit and are left out when the checkpoint is loaded.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('weights', help="Darknet's file")
    parser.add_argument('out', help='checkpoint to write (.pth)')
    parser.add_argument(
        '--config',
        default='_base_/models/yolov4.py',
        help='config whose model it is (default: YOLOv4 as published)',
    )
    parser.add_argument('--num-classes', type=int, default=80, help='of the weights (default: 80)')
    parser.add_argument(
        '--partial', action='store_true', help='the file may end after any layer: yolov4.conv.137'
    )


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.darknet_weights import convert_darknet_weights

    config = load_config(args.config, need=('model',))
    layers, seen = convert_darknet_weights(
        config, args.weights, args.out, args.num_classes, args.partial
    )
    print(f'{args.out}: {layers} layers of {args.weights}, {seen} images seen')
