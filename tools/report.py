"""Write one page on trained detectors: the command `ldwsccd report`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('report'))
