"""``python -m ldwsccd_mmdet``: the command ``ldwsccd``, once the package is loaded."""

import sys

from ldwsccd.main import main

if __name__ == '__main__':
    sys.exit(main())
