"""Measure the recall of proposals: the command `ldwsccd recall`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('recall'))
