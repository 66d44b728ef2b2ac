"""Check a data set: the command `ldwsccd doctor`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('doctor'))
