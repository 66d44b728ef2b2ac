"""Convert YOLO text files to COCO json: the command `ldwsccd convert yolo`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('convert yolo'))
