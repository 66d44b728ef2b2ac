"""Measure the method where boxes are missing: the command `ldwsccd half-the-boxes`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('half-the-boxes'))
