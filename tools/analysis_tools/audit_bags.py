"""Audit the bags of a set: the command `ldwsccd audit`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('audit'))
