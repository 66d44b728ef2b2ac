"""Weigh the distillation: the command `ldwsccd calibrate`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('calibrate'))
