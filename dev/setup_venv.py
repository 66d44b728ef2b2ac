"""The virtual environment of set-up: made, checked, and filled by pip."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from setup_steps import STACK, VENV, VENV_PYTHON, SetupError, run, say, venv_answer

MIN_PIP = (21, 3)  # the first with editable installs through pyproject.toml (PEP 660)
BUSY = VENV / 'setup-busy'


def interpreter() -> str:
    """The base interpreter, also when this script runs under a `.venv`'s own."""
    return getattr(sys, '_base_executable', None) or sys.executable


def interpreter_id() -> str:
    return f'{platform.python_version()} {os.path.realpath(sys.base_prefix)}'


def check_pip() -> None:
    """The pip that will be used: that of an existing `.venv`, else the one venv would bring."""
    if VENV_PYTHON.exists():
        found, error = venv_answer('import pip; print(pip.__version__)')
        if error:
            return  # a broken .venv is built anew
    else:
        import ensurepip

        found = ensurepip.version()
    if tuple(map(int, re.findall(r'\d+', found)[:2])) < MIN_PIP:
        raise SetupError(
            f'pip {found} is too old, {MIN_PIP[0]}.{MIN_PIP[1]} or newer is needed for editable '
            f'installs through pyproject.toml; run: {interpreter()} -m venv {VENV} && '
            f'{VENV_PYTHON} -m pip install -U pip'
        )


def create_venv() -> None:
    say(f'creating {VENV} with Python {platform.python_version()} ({interpreter()})')
    command = [interpreter(), '-m', 'venv', '--clear', str(VENV)]
    env = {key: value for key, value in os.environ.items() if key != 'PYTHONHOME'}
    run(command, 'creating .venv', env=env, log=Path(os.devnull))


def venv_works() -> bool:
    """Whether `.venv` is a whole one of this interpreter, made at this place."""
    if not VENV_PYTHON.exists() or BUSY.exists():
        return False
    code = 'import pip, platform, os, sys; print(platform.python_version(), end=" ");'
    code += 'print(os.path.realpath(sys.base_prefix)); print(sys.prefix)'
    text, error = venv_answer(code)
    if error:
        return False
    base, prefix = text.splitlines()
    pip = VENV / 'bin' / 'pip'
    moved = pip.exists() and str(VENV) not in pip.read_text(errors='replace')[:1000]
    return base == interpreter_id() and os.path.realpath(prefix) == str(VENV) and not moved


def pip_install(arguments: list[str], what: str, remedy: str) -> None:
    """`pip install`; `BUSY` stays behind if it is killed, and the next run starts afresh."""
    BUSY.touch()
    command = [str(VENV_PYTHON), '-m', 'pip', 'install', '--no-input', '--no-color', *arguments]
    try:
        run(command, what, remedy=remedy)
    except SetupError:
        BUSY.unlink(missing_ok=True)  # pip itself gave up, and left things whole
        raise
    BUSY.unlink(missing_ok=True)


def mend_opencv() -> None:
    """Takes OpenCV's headless build where the usual one misses a library of a desktop (libGL)."""
    _, error = venv_answer('import cv2')
    if not error:
        return
    if '.so' not in error:
        raise SetupError(f'OpenCV does not load ({error}); remove .venv and run make again')
    say(f'OpenCV misses a system library ({error}); taking its headless build')
    names = ['opencv-python', 'opencv-python-headless']
    run([str(VENV_PYTHON), '-m', 'pip', 'uninstall', '-y', *names], 'removing opencv-python')
    arguments = ['--no-deps', '-c', str(STACK), names[1]]
    pip_install(arguments, f'installing {names[1]}', 'run make again')
