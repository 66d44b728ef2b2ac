"""A command that another one started ends with it, even where that one is killed."""

from __future__ import annotations

import os
import threading
import time

__all__ = ['VARIABLE', 'end_with_parent']

#: Set, to its own process id, by what starts a command that is to end with it.
VARIABLE = 'LDWSCCD_PARENT'
_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process, at once, when the one that :data:`VARIABLE` names is no longer its parent.

    A process that is killed can end no other, so each looks for itself. Nothing is tidied up:
    checkpoints are whole or absent anyway. Does nothing where the variable is not set, as in a
    process that this one starts.
    """
    parent = os.environ.pop(VARIABLE, '')
    if not parent.isdigit():
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name='end-with-parent', daemon=True).start()
