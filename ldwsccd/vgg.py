r"""Make weights of SSD's backbone of ImageNet's VGG: FC6 and FC7 become conv6 and conv7.

Examples:
    ldwsccd vgg vgg16-397923af.pth vgg16_ssd.pth --std 58.395 57.12 57.375
    ldwsccd train ldwsccd_ssd512.py \
        --cfg-options model.backbone.init_cfg.checkpoint=vgg16_ssd.pth

torchvision's weights expect images divided by a standard deviation; SSD's are not. --std puts it
into the first convolution. The mean that is taken off is the same, in 0 to 255: 123.675, 116.28,
103.53.
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('weights', help="torchvision's file, of a VGG without batch norm")
    parser.add_argument('out', help='weights to write (.pth)')
    parser.add_argument(
        '--std',
        nargs=3,
        type=float,
        metavar=('R', 'G', 'B'),
        help='what the weights expect images to be divided by, in 0 to 255 (default: nothing)',
    )


def main(args: argparse.Namespace) -> None:
    """Convert."""
    from ldwsccd_mmdet.engine.vgg_weights import convert_vgg_weights

    numbers = convert_vgg_weights(args.weights, args.out, args.std)
    print(f'{args.out}: {numbers} numbers of {args.weights}, FC6 and FC7 as conv6 and conv7')
