"""Builds `.venv` at the repository root, once; `make env` calls it through `setup_env.sh`.

Environment variables:
    TORCH: torch requirement (a version, a pip requirement or a wheel file). Default: what `.venv`
        was built with, else `DEFAULT_TORCH`.
    MMCV: `lite` (pure Python; its operators are this project's, in plain torch) or `compiled`
        (needs a C++ compiler, and about 12 minutes once). Default: what `.venv` was built with,
        else a compiled wheel that is kept, else `lite`.
    XDG_CACHE_HOME: where a compiled mmcv is kept. Default: `~/.cache`.

pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are passed on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import re
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from mmcv_wheel import check_compiler, mmcv_wheel  # noqa: E402
from setup_steps import (  # noqa: E402
    LOG,
    ROOT,
    STACK,
    VENV,
    VENV_PYTHON,
    SetupError,
    locked,
    pinned,
    run,
    say,
    venv_answer,
)

DEFAULT_TORCH = 'torch==2.13.0'
SCHEMA = 2  # raise it when what this script installs changes
MIN_PIP = (21, 3)  # the first with editable installs through pyproject.toml (PEP 660)
BUILD_TOOLS = ['setuptools<82', 'wheel', 'ninja']
CHECK = 'import ldwsccd_mmdet, mmcv.ops, mmdet, mmengine, pycocotools'
STATE = VENV / 'setup-state.json'
BUSY = VENV / 'setup-busy'
INPUTS = (ROOT / 'setup.py', ROOT / 'pyproject.toml', STACK)


def fingerprint() -> str:
    """Hash of what decides the content of `.venv`, beside interpreter, torch and mmcv."""
    digest = hashlib.sha256(f'{SCHEMA} {VENV}'.encode())  # a moved clone has stale script paths
    for path in INPUTS:
        digest.update(path.read_bytes() if path.exists() else b'')
    return digest.hexdigest()


def interpreter() -> str:
    """The base interpreter, also when this script runs under a `.venv`'s own."""
    return getattr(sys, '_base_executable', None) or sys.executable


def interpreter_id() -> str:
    return f'{platform.python_version()} {os.path.realpath(sys.base_prefix)}'


def read_state() -> dict[str, object]:
    try:
        state = json.loads(STATE.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def torch_requirement(state: dict[str, object]) -> str:
    """TORCH as pip takes it; without TORCH what `.venv` was asked for, else the default."""
    given = os.environ.get('TORCH', '').strip()
    if not given:
        return str(state.get('torch_given') or DEFAULT_TORCH)
    if re.fullmatch(r'\d+(\.\d+)+([+.\w]*)', given):
        return f'torch=={given}'
    if given.endswith('.whl') and 'torch' in given:
        return given if '://' in given else str(Path(given).expanduser().resolve())
    if re.fullmatch(r'torch\s*([@=<>~!].*)?', given):
        return given
    raise SetupError(
        f'TORCH={given} is not a torch requirement; give a version, a requirement or a wheel, '
        f'for example: make TORCH={DEFAULT_TORCH}'
    )


def mmcv_choice(state: dict[str, object]) -> str:
    """'lite', 'compiled', or '' for a compiled wheel if one is kept, else lite."""
    given = os.environ.get('MMCV', '').strip() or str(state.get('mmcv_given') or '')
    if given not in ('', 'lite', 'compiled'):
        raise SetupError(f'MMCV={given} is neither lite nor compiled; for example: make MMCV=lite')
    return given


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


def preflight(mmcv: str) -> str | None:
    """Says what is missing before anything is installed; returns the C++ compiler, if needed."""
    missing = [name for name in ('venv', 'ensurepip') if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f'{interpreter()} has no {" and ".join(missing)} module; install it (Debian, Ubuntu: '
            f'apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv), or choose '
            'another Python: make PYTHON=...'
        )
    check_pip()
    compiler = check_compiler() if mmcv == 'compiled' else None
    if VENV.exists() and not (VENV / 'pyvenv.cfg').exists() and any(VENV.iterdir()):
        raise SetupError(f'{VENV} is not a virtual environment; move it away and run make again')
    return compiler


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


def install(torch: str, mmcv: str, compiler: str | None) -> None:
    say(f'installing {torch}')
    remedy = 'check the network and the requirement; another one can be given: make TORCH=...'
    pip_install([*BUILD_TOOLS, torch], f'installing {torch}', remedy)
    wheel = None if mmcv == 'lite' else mmcv_wheel(compiler)
    chosen = str(wheel) if wheel else f'mmcv-lite=={pinned("mmcv-lite")}'
    say(f'installing mmdet, mmengine, {Path(chosen).name} and this project')
    pip_install(
        ['--no-build-isolation', '-c', str(STACK), chosen, '-e', f'{ROOT}[dev]']
        + ['mmdet', 'mmengine', torch],
        'installing mmdet',
        'check the network, then run make again',
    )
    mend_opencv()


def set_up() -> None:
    state = read_state()
    torch, mmcv = torch_requirement(state), mmcv_choice(state)
    wanted: dict[str, object] = {
        'fingerprint': fingerprint(),
        'python': interpreter_id(),
        'torch': torch,
        # Kept, so that a later plain `make` does not go back to the default.
        'torch_given': torch if os.environ.get('TORCH', '').strip() else state.get('torch_given'),
        'mmcv_given': mmcv,
    }
    if state == wanted and VENV_PYTHON.exists():
        return
    compiler = preflight(mmcv)
    started = time.monotonic()
    same = all(state.get(key) == wanted[key] for key in ('torch', 'mmcv_given'))
    reuse = venv_works() and (not state or same)
    # Without a finished state the next run starts again here, whatever happens below.
    STATE.unlink(missing_ok=True)
    if not reuse:
        create_venv()
    install(torch, mmcv, compiler)
    _, error = venv_answer(CHECK)
    if error and reuse:
        say(f'the old .venv is damaged ({error}); building it anew')
        create_venv()
        install(torch, mmcv, compiler)
        _, error = venv_answer(CHECK)
    if error:
        raise SetupError(
            f'all is installed but does not load: {error} (log: {LOG}); mend that and run make '
            'again, after removing .venv if the fault lies in there'
        )
    scratch = STATE.with_suffix('.tmp')
    scratch.write_text(json.dumps(wanted, indent=1) + '\n', encoding='utf-8')
    os.replace(scratch, STATE)
    say(f'ready in {time.monotonic() - started:.0f} s: {VENV_PYTHON}')


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with locked(ROOT, 'another set-up of this folder is running; waiting for it'):
            set_up()
    except SetupError as error:
        print(f'set-up: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('set-up: interrupted; run make again to go on', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
