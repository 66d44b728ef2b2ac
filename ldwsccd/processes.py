"""Processes of a launcher: they end with it, and its last line is their error."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

__all__ = ['end_with_launcher', 'launch']

_PR_SET_PDEATHSIG = 1
_SECONDS = 1.0  # between two looks at the parent, where the system does not tell


def end_with_launcher() -> None:
    """Let this process end when the launcher that started it is killed.

    torchrun ends its processes when it is asked to end; killed (``SIGKILL``, out of memory), it
    leaves them running. Without a launcher nothing is changed.
    """
    if 'TORCHELASTIC_RUN_ID' not in os.environ:
        return
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def launch(argv: list[str] | None = None) -> int:
    """Run torchrun; the error of the first process that failed is said last, in one line.

    Args:
        argv: Arguments of ``torchrun``; None: those of this process.

    Returns:
        0, or the exit code of that process; 1 where a signal ended it.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    try:
        run(parse_args(argv))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f'error: process {rank}: {failure.message}', file=sys.stderr, flush=True)
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == '__main__':
    sys.exit(launch())
