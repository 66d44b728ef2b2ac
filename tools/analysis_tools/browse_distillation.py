"""Draw what the distillation sees: the command `ldwsccd browse-distillation`."""

import sys

from ldwsccd.main import run_command

if __name__ == '__main__':
    sys.exit(run_command('browse-distillation'))
