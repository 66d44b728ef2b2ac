"""Test a detector: the command `ldwsccd test`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('test'))
