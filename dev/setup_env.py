"""Builds `.venv` at the repository root, once; `make env` calls it through `setup_env.sh`.

Environment variables:
    TORCH: torch requirement (a version, a pip requirement or a wheel file). Default: what `.venv`
        was built with, else `DEFAULT_TORCH`.
    MMCV: `lite` (pure Python; its operators are this project's, in plain torch) or `compiled`
        (needs a C++ compiler, and many minutes once). Default: what `.venv` was built with,
        else a compiled wheel that is kept, else `lite`.
    XDG_CACHE_HOME: where a compiled mmcv is kept. Default: `~/.cache`.

pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are passed on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

from mmcv_wheel import check_compiler, mmcv_wheel
from setup_steps import (
    LOG,
    ROOT,
    STACK,
    VENV,
    VENV_PYTHON,
    SetupError,
    locked,
    pinned,
    say,
    venv_answer,
)
from setup_venv import (
    check_pip,
    create_venv,
    interpreter,
    interpreter_id,
    mend_opencv,
    pip_install,
    venv_works,
)

DEFAULT_TORCH = 'torch==2.13.0'
SCHEMA = 2  # raise it when what this script installs changes
BUILD_TOOLS = ['setuptools>=77,<82', 'wheel', 'ninja']
CHECK = 'import ldwsccd_mmdet, mmcv.ops, mmdet, mmengine, pycocotools'
STATE = VENV / 'setup-state.json'
INPUTS = (ROOT / 'setup.py', ROOT / 'pyproject.toml', STACK)


def fingerprint() -> str:
    """Hash of what decides the content of `.venv`, beside interpreter, torch and mmcv."""
    digest = hashlib.sha256(f'{SCHEMA} {VENV}'.encode())  # a moved clone has stale script paths
    for path in INPUTS:
        digest.update(path.read_bytes() if path.exists() else b'')
    return digest.hexdigest()


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
