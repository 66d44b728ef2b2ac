"""Hide boxes, to see later which of them a detector finds: the command `ldwsccd hide`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('hide'))
