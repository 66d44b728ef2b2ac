"""Convert Darknet's weights: the command `ldwsccd darknet`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('darknet'))
