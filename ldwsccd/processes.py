"""Several processes by torchrun: its last line is their error."""

from __future__ import annotations

import sys

from .parent import end_with_parent

__all__ = ['launch']


def launch(argv: list[str] | None = None) -> int:
    """Run torchrun; the error of the first process that failed is said last, in one line.

    Args:
        argv: Arguments of ``torchrun``; None: those of this process.

    Returns:
        0, or the exit code of that process; 1 where a signal ended it.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # a comparison names itself to this process, not to those that it starts: they look for it
    end_with_parent()

    try:
        run(parse_args(argv))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f'error: process {rank}: {failure.message}', file=sys.stderr, flush=True)
        return failure.exitcode if failure.exitcode > 0 else 1
    return 0


if __name__ == '__main__':
    sys.exit(launch())
