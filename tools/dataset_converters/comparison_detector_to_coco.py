"""Convert the paper's set: the command `ldwsccd convert ccd`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('convert ccd'))
