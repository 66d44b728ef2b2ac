"""Find cells that have no box: the command `ldwsccd mine`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('mine'))
