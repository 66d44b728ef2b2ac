"""A command that another program started ends with it, even where that one is killed."""

from __future__ import annotations

import os
import threading
import time

__all__ = ['VARIABLE', 'end_with_parent']

#: Set, to its own process id, by what starts a command that is to end with it.
VARIABLE = 'LDWSCCD_PARENT'
_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process, at once, when the one that started it is gone.

    A process that is killed can end no other, so each looks for itself. That holds for what a
    comparison starts, which names itself in :data:`VARIABLE`, and for the processes of torchrun: it
    ends them when it is asked to end, but killed (``SIGKILL``, out of memory) it leaves them
    running. Nothing is tidied up: checkpoints are whole or absent anyway. A command that the user
    started, and what it starts by itself, are left alone.
    """
    named = os.environ.pop(VARIABLE, '')
    if named.isdigit():
        parent = int(named)
    elif 'TORCHELASTIC_RUN_ID' in os.environ:
        parent = os.getppid()
    else:
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name='end-with-parent', daemon=True).start()
