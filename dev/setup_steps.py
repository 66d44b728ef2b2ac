"""What the set-up scripts share: places, faults, and commands whose output goes to a log."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
VENV_PYTHON = VENV / 'bin' / 'python'
LOG = VENV / 'setup.log'
STACK = ROOT / 'requirements' / 'stack.txt'


class SetupError(Exception):
    """A fault that the user can mend; its text is one line with the remedy."""


def say(text: str) -> None:
    print(f'set-up: {text}', flush=True)


def pinned(package: str) -> str:
    """The version of a package in requirements/stack.txt."""
    match = re.search(rf'^{package}==(\S+)$', STACK.read_text(encoding='utf-8'), re.MULTILINE)
    if match is None:
        raise SetupError(f'{STACK}: expected a line {package}==X.Y.Z; restore the file from git')
    return match.group(1)


def clean_environ(**extra: str) -> dict[str, str]:
    """The user's environment, without what would leak other packages into `.venv`."""
    drop = {'PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_CONSTRAINT'}
    env = {key: value for key, value in os.environ.items() if key not in drop}
    env.update(PYTHONNOUSERSITE='1', PIP_USER='0', PIP_DISABLE_PIP_VERSION_CHECK='1')
    env.update(PATH=f'{VENV / "bin"}{os.pathsep}{os.environ.get("PATH", "")}', **extra)
    return env


def run(
    command: list[str],
    what: str,
    env: dict[str, str] | None = None,
    remedy: str = 'mend that, then run make again',
    log: Path = LOG,
) -> None:
    """Runs a command into the log.

    Raises:
        SetupError: when the command fails; the last error lines of the log are printed first.
    """
    with log.open('ab') as out:
        out.write(f'\n$ {" ".join(command)}\n'.encode())
        out.flush()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env or clean_environ()
        )
    if done.returncode:
        lines = log.read_text(errors='replace').splitlines()[-200:]
        errors = [line for line in lines if re.search(r'\berror\b', line, re.IGNORECASE)]
        for line in (errors or lines)[-5:]:
            print(f'  {line.strip()[:300]}', file=sys.stderr)
        raise SetupError(f'{what} failed (exit {done.returncode}, log: {log}); {remedy}')


def venv_answer(code: str) -> tuple[str, str]:
    """Runs code in `.venv`, away from the source tree: its output, and the error's last line."""
    done = subprocess.run(
        [str(VENV_PYTHON), '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env=clean_environ(),
        cwd=VENV,
    )
    if done.returncode == 0:
        return done.stdout.strip(), ''
    return '', (done.stderr.strip().splitlines() or [f'exit {done.returncode}'])[-1]


@contextlib.contextmanager
def locked(path: Path, waiting: str) -> Iterator[None]:
    """Holds an exclusive lock on a file or folder; the system frees it when the process ends."""
    import fcntl

    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    handle = os.open(path, flags, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(waiting)
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)
