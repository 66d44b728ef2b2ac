"""Convert COCO json to YOLO text files: the command `ldwsccd convert to-yolo`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('convert to-yolo'))
