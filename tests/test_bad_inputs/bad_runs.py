"""Run a line of which one word is wrong, and look at what it says and leaves."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests import commands
from tests.test_bad_inputs.lines import Line

__all__ = ['Outcome', 'run_line', 'verdict']

SECONDS = 60
#: Bytes that a run may take on top of what the process has.
MEMORY = 4 << 30
_HANGS = -1


class _Late(BaseException):
    """A run took too long; no handler of errors catches it."""


class Outcome(NamedTuple):
    """What a run gave: exit code, what stood on stderr, what lies where nothing should be."""

    code: int
    said: str
    left: frozenset[str]


def run_line(line: Line, bad: Path, workplace: Path, cwd: Path) -> Outcome:
    """Run a line in ``cwd``, in this process, within bounds of time and memory.

    Args:
        line: The line.
        bad: What stands for ``BAD`` in it.
        workplace: Folder of the right files.
        cwd: Where the line is run; ``OUT`` is a folder in it.
    """
    words = [_word(word, bad, workplace) for word in line.words.split()]
    before = _files(workplace) | _files(cwd)
    err = io.StringIO()
    home = Path.cwd()
    os.chdir(cwd)
    try:
        with _bounds(), contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
            try:
                code = commands.run(line.command, *words)
            except SystemExit as error:  # of argparse
                code = int(error.code or 0)
            except _Late:
                code = _HANGS
    finally:
        os.chdir(home)
    new = (_files(workplace) | _files(cwd)) - before
    return Outcome(code, err.getvalue(), frozenset(f for f in new if not _expected(f, cwd)))


def verdict(outcome: Outcome, *names: str) -> str:
    """Say what is wrong with an outcome; empty where it is one line that names what it is about."""
    lines = outcome.said.strip().splitlines() or ['']
    if 'Traceback' in outcome.said:
        return 'traceback'
    if outcome.code == _HANGS:
        return f'no answer in {SECONDS} s'
    if outcome.left:
        return f'left {sorted(outcome.left)[:3]}'
    if outcome.code != 2:
        return f'exit code {outcome.code}'
    if sum('error: ' in line for line in lines) != 1 or 'error: ' not in lines[-1]:
        return 'not one line'
    if not any(name in lines[-1] for name in names):
        return 'does not name the file'
    if re.search(r'error: (\S+: )?\w*(Error|Exception)\b', lines[-1]):
        return 'not foreseen'
    return ''


def _word(word: str, bad: Path, workplace: Path) -> str:
    word = word.replace('BAD', str(bad)).replace('OUT', 'out')
    if '{' in word:
        start, _, rest = word.partition('{')
        name, _, end = rest.partition('}')
        return f'{start}{workplace / name}{end}'
    return word


def _files(folder: Path) -> set[str]:
    found = set()
    for root, folders, names in os.walk(folder):
        found |= {os.path.join(root, name) for name in (*folders, *names)}
    return found


def _expected(file: str, cwd: Path) -> bool:
    return Path(file).is_relative_to(cwd / 'out')


@contextlib.contextmanager
def _bounds() -> Iterator[None]:
    """End what reads for ever: by an alarm, and by a limit of memory."""

    def late(*_: object) -> None:
        raise _Late

    before = signal.signal(signal.SIGALRM, late)
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    has = int(re.search(r'VmData:\s+(\d+)', Path('/proc/self/status').read_text())[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (has + MEMORY, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, limits)
