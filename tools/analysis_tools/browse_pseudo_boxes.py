"""Draw pseudo-boxes: the command `ldwsccd browse-pseudo-boxes`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('browse-pseudo-boxes'))
