"""Draw what a data set hands to the model: the command `ldwsccd browse`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('browse'))
