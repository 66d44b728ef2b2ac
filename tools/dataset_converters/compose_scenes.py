"""Compose scenes from crops: the command `ldwsccd compose`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('compose'))
