"""Find anchors by k-means: the command `ldwsccd anchors`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('anchors'))
