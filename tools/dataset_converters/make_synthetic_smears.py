"""Draw synthetic smears: the command `ldwsccd draw`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('draw'))
