"""Weaken the labels of a set: the command `ldwsccd weaken`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('weaken'))
