"""Run an ablation: the command `ldwsccd compare`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('compare'))
