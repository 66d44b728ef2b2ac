"""Convert Pascal VOC to COCO json: the command `ldwsccd convert voc`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('convert voc'))
