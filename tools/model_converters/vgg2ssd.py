"""Convert ImageNet's VGG for SSD: the command `ldwsccd vgg`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('vgg'))
