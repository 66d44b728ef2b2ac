"""``python -m ldwsccd``: the command, where its script is not on the PATH."""

import sys

from .main import main

if __name__ == '__main__':
    sys.exit(main())
