"""Convert Darknet's weights of YOLOv4 into a checkpoint of mmdet.

    python tools/model_converters/darknet2mmdet.py yolov4.weights yolov4_coco.pth
    python tools/model_converters/darknet2mmdet.py yolov4.conv.137 yolov4_conv137.pth --partial
    python tools/train.py configs/yolov4/yolov4_csp-d53_adamw_ccd.py --cfg-options load_from=yolov4_conv137.pth

Predictions of another number of classes do not fit and are left out when the checkpoint is loaded.
"""

import argparse
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.engine.darknet_weights import load_darknet_weights

ROOT = Path(__file__).resolve().parents[2]


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('weights', help="Darknet's file")
    parser.add_argument('out', help='checkpoint to write (.pth)')
    parser.add_argument(
        '--config',
        default=str(ROOT / 'configs/_base_/models/yolov4.py'),
        help='config whose model it is (default: YOLOv4 as published)',
    )
    parser.add_argument('--num-classes', type=int, default=80, help='of the weights (default: 80)')
    parser.add_argument(
        '--partial', action='store_true', help='the file may end after any layer: yolov4.conv.137'
    )
    return parser.parse_args(argv)


def main(args: argparse.Namespace) -> None:
    config = cli.load_config(args.config)
    register_all_modules()
    config.model.bbox_head.num_classes = args.num_classes
    model = MODELS.build(config.model)
    header, names = load_darknet_weights(model, args.weights, args.partial)
    state = {
        key: value
        for key, value in model.state_dict().items()
        if key.startswith(tuple(f'{name}.' for name in names))
    }
    meta = dict(source=Path(args.weights).name, num_classes=args.num_classes, **header)
    torch.save(dict(meta=meta, state_dict=state), args.out)
    print(f'{args.out}: {len(names)} layers of {args.weights}, {header["seen"]} images seen')


if __name__ == '__main__':
    sys.exit(cli.run_tool(main, parse_args()))
