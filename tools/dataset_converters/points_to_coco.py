"""Convert points to COCO json: the command `ldwsccd convert points`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('convert points'))
