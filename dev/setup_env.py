"""Builds `.venv` at the repository root, once; `make env` calls it through `setup_env.sh`.

Environment variables:
    TORCH: torch requirement (a version, a pip requirement or a wheel file). Default: what `.venv`
        was built with, else `DEFAULT_TORCH`.
    CXX: the C++ compiler. Default: the first of c++, g++ and clang++.
    XDG_CACHE_HOME: where the compiled mmcv wheel is kept. Default: `~/.cache`.
    MAX_JOBS: compiler processes. Default: by number of cores and memory.

pip's own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...) are passed on.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import math
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

DEFAULT_TORCH = 'torch==2.13.0'
SCHEMA = 1  # raise it when what this script installs changes
MIN_PIP = (21, 3)  # the first with editable installs through pyproject.toml (PEP 660)
BUILD_TOOLS = ['setuptools<82', 'wheel', 'ninja']
CORE_MINUTES = 22  # measured: mmcv 2.1.0 for the CPU, gcc 12, 12 minutes on 2 busy cores
GIB_PER_JOB = 1.5

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
VENV_PYTHON = VENV / 'bin' / 'python'
STATE = VENV / 'setup-state.json'
BUSY = VENV / 'setup-busy'
LOG = VENV / 'setup.log'
STACK = ROOT / 'requirements' / 'stack.txt'
INPUTS = (ROOT / 'setup.py', STACK)


class SetupError(Exception):
    """A fault that the user can mend; its text is one line with the remedy."""


def say(text: str) -> None:
    print(f'set-up: {text}', flush=True)


# ---------------------------------------------------------------- what is wanted, what is there


def fingerprint() -> str:
    """Hash of what decides the content of `.venv`, beside interpreter and torch."""
    digest = hashlib.sha256(f'{SCHEMA} {VENV}'.encode())  # a moved clone has stale script paths
    for path in INPUTS:
        digest.update(path.read_bytes())
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


def write_state(state: dict[str, object]) -> None:
    scratch = STATE.with_suffix('.tmp')
    scratch.write_text(json.dumps(state, indent=1) + '\n', encoding='utf-8')
    os.replace(scratch, STATE)


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


def mmcv_version() -> str:
    match = re.search(r'^mmcv==(\S+)$', STACK.read_text(encoding='utf-8'), re.MULTILINE)
    if match is None:
        raise SetupError(f'{STACK}: expected a line mmcv==X.Y.Z; restore the file from git')
    return match.group(1)


# ---------------------------------------------------------------- checks before anything is done


def pip_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r'\d+', text)[:2])


def check_pip() -> None:
    """The pip that will be used: that of an existing `.venv`, else the one venv would bring."""
    if VENV_PYTHON.exists():
        done = subprocess.run(
            [str(VENV_PYTHON), '-m', 'pip', '--version'], capture_output=True, text=True
        )
        if done.returncode:
            return  # a broken .venv is built anew
        found = done.stdout.split()[1]
    else:
        import ensurepip

        found = ensurepip.version()
    if pip_version(found) < MIN_PIP:
        raise SetupError(
            f'pip {found} is too old, {MIN_PIP[0]}.{MIN_PIP[1]} or newer is needed for editable '
            f'installs through pyproject.toml; run: {interpreter()} -m venv {VENV} && '
            f'{VENV_PYTHON} -m pip install -U pip'
        )


def find_compiler() -> str:
    names = [os.environ['CXX']] if os.environ.get('CXX') else ['c++', 'g++', 'clang++']
    for name in names:
        if shutil.which(name.split()[0]):
            return name
    what = f'CXX={names[0]} does not run' if len(names) == 1 else 'no C++ compiler found'
    raise SetupError(
        f"{what}, and mmcv's operators have to be compiled; install one (Debian, Ubuntu: "
        'apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install)'
    )


def preflight() -> str:
    """Says what is missing before anything is installed, and returns the C++ compiler."""
    short = f'{sys.version_info[0]}.{sys.version_info[1]}'
    missing = [name for name in ('venv', 'ensurepip') if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f'{interpreter()} has no {" and ".join(missing)} module; install it (Debian, Ubuntu: '
            f'apt install python{short}-venv), or choose another Python: make PYTHON=...'
        )
    check_pip()
    compiler = find_compiler()
    trial = subprocess.run(
        [*compiler.split(), '-std=c++17', '-x', 'c++', '-fsyntax-only', '-'],
        input='#include <optional>\nint main() { return 0; }\n',
        capture_output=True,
        text=True,
    )
    if trial.returncode:
        raise SetupError(
            f'the C++ compiler {compiler} cannot compile C++17; install a newer one (gcc 9, '
            'clang 9 or later), or name it: make CXX=...'
        )
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.exists():
        raise SetupError(
            f"{header} is missing, and mmcv's operators need it; install Python's headers (Debian, "
            f'Ubuntu: apt install python{short}-dev), or choose another Python: make PYTHON=...'
        )
    if VENV.exists() and not (VENV / 'pyvenv.cfg').exists() and any(VENV.iterdir()):
        raise SetupError(f'{VENV} is not a virtual environment; move it away and run make again')
    try:
        wheel_cache().mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=wheel_cache()).close()
    except OSError as error:
        raise SetupError(
            f'cannot write to {wheel_cache()} ({error.strerror}), where the compiled mmcv is kept; '
            'set XDG_CACHE_HOME to a folder that can be written'
        ) from None
    return compiler


# ---------------------------------------------------------------- running and locking


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
    progress: Callable[[str], str | None] = lambda line: None,
    remedy: str = 'mend that, then run make again',
    log: Path = LOG,
) -> None:
    """Runs a command into the log; shows the progress that `progress` reads from a line of it.

    Raises:
        SetupError: when the command fails; the last error lines of the log are printed first.
    """
    lines: list[str] = []
    tty = sys.stdout.isatty()
    shown_at = time.monotonic()
    with log.open('a', encoding='utf-8') as out:
        out.write(f'\n$ {" ".join(command)}\n')
        # A process group of its own, so that an interrupt ends pip's compilers as well.
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=env or clean_environ(),
            text=True,
            errors='replace',
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                out.write(line)
                out.flush()
                lines = [*lines[-199:], line.rstrip()]
                status = progress(line)
                if status and tty:
                    print(f'\r\033[Kset-up: {status[:90]}', end='', flush=True)
                elif status and time.monotonic() - shown_at > 60:
                    say(status)
                    shown_at = time.monotonic()
            code = process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        finally:
            if tty:
                print('\r\033[K', end='', flush=True)
    if code:
        errors = [line for line in lines if re.search(r'\berror\b', line, re.IGNORECASE)]
        for line in (errors or lines)[-5:]:
            print(f'  {line.strip()[:300]}', file=sys.stderr)
        raise SetupError(f'{what} failed (exit {code}, log: {log}); {remedy}')


def pip_progress(line: str) -> str | None:
    match = re.match(r'\s*((Collecting|Downloading|Installing|Building) .*)', line)
    return match.group(1) if match else None


def ninja_progress(line: str) -> str | None:
    match = re.match(r'\s*\[(\d+)/(\d+)\] ', line)
    return f'compiling mmcv: {match.group(1)} of {match.group(2)} files' if match else None


def pip_install(arguments: list[str], what: str, remedy: str) -> None:
    """`pip install`; `BUSY` stays behind if it is killed, and the next run starts afresh."""
    BUSY.touch()
    try:
        run(
            [str(VENV_PYTHON), '-m', 'pip', 'install', '--no-input', '--no-color', *arguments],
            what,
            progress=pip_progress,
            remedy=remedy,
        )
    except SetupError:
        BUSY.unlink(missing_ok=True)  # pip itself gave up, and left things whole
        raise
    BUSY.unlink(missing_ok=True)


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


# ---------------------------------------------------------------- mmcv's wheel


def wheel_cache() -> Path:
    base = os.environ.get('XDG_CACHE_HOME', '')
    home = Path(base) if os.path.isabs(base) else Path.home() / '.cache'
    return home / 'ldwsccd_mmdet' / 'wheels'


def query_torch() -> dict[str, str]:
    """Version of the installed torch, and the GPU architecture to compile for ('' for none)."""
    code = (
        'import json, torch\n'
        "arch = ''\n"
        'if torch.version.cuda and torch.cuda.is_available():\n'
        "    arch = 'sm%d%d' % torch.cuda.get_device_capability()\n"
        'from torch.utils.cpp_extension import CUDA_HOME\n'
        "print(json.dumps(dict(version=torch.__version__, cuda=torch.version.cuda or '', "
        "arch=arch, cuda_home=CUDA_HOME or '')))\n"
    )
    done = subprocess.run(
        [str(VENV_PYTHON), '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env=clean_environ(),
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ['no message'])[-1]
        raise SetupError(f'the installed torch does not load ({last}); try another: make TORCH=...')
    result: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def is_whole(wheel: Path) -> bool:
    """Whether a kept wheel can be read and holds the compiled operators."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return any(re.match(r'mmcv/_ext\..*so$', name) for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def kept_wheel(folder: Path) -> Path | None:
    wheels = sorted(folder.glob('mmcv-*.whl'))
    return wheels[0] if wheels and is_whole(wheels[0]) else None


def compile_jobs() -> int:
    given = os.environ.get('MAX_JOBS', '')
    if given.isdigit() and int(given) > 0:
        return int(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    with contextlib.suppress(ValueError, OSError, AttributeError):
        memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30
        return max(1, min(cores or 1, int(memory / GIB_PER_JOB)))
    return cores or 1


def mmcv_wheel(compiler: str) -> Path:
    """The wheel of mmcv with compiled operators for the installed torch; built if not kept."""
    version = mmcv_version()
    torch = query_torch()
    with_cuda = bool(torch['arch'] and torch['cuda_home'])
    if torch['arch'] and not with_cuda:
        say(
            "a GPU is there but no CUDA toolkit, so mmcv's operators will run on the CPU only; for "
            f'the GPU install CUDA {torch["cuda"]} (nvcc), remove .venv and run make again'
        )
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    key = f'{tag}-torch{torch["version"]}-mmcv{version}-{sys.platform}-{platform.machine()}'
    if with_cuda:
        key += f'-{torch["arch"]}'
    folder = wheel_cache() / key

    wheel = kept_wheel(folder)
    if wheel is not None:
        say(f'mmcv {version}: compiled before, taken from {folder}')
        return wheel
    with locked(wheel_cache() / f'{key}.lock', 'another set-up is compiling mmcv; waiting for it'):
        wheel = kept_wheel(folder)
        if wheel is not None:
            return wheel
        jobs = compile_jobs()
        log = wheel_cache() / f'{key}.log'
        log.unlink(missing_ok=True)
        say(
            f'compiling mmcv {version} for torch {torch["version"]}, about '
            f'{math.ceil(CORE_MINUTES / jobs)} minutes on {jobs} cores, once (log: {log})'
        )
        for stale in wheel_cache().glob(f'tmp-{key}-*'):  # of a killed build; we hold the lock
            shutil.rmtree(stale, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=wheel_cache(), prefix=f'tmp-{key}-') as scratch:
            env = clean_environ(MMCV_WITH_OPS='1', MAX_JOBS=str(jobs), CXX=compiler)
            env['FORCE_CUDA'] = '1' if with_cuda else '0'
            if not with_cuda:
                env['CUDA_VISIBLE_DEVICES'] = ''  # else mmcv asks for nvcc wherever a GPU is seen
            run(
                [str(VENV_PYTHON), '-m', 'pip', 'wheel', '-v', '--no-input', '--no-color']
                + ['--no-build-isolation', '--no-deps', '--no-cache-dir']
                + ['--no-binary', 'mmcv', '-w', scratch, f'mmcv=={version}'],
                'compiling mmcv',
                env=env,
                progress=ninja_progress,
                remedy='mend that, or try another torch: make TORCH=...',
                log=log,
            )
            built = next(iter(Path(scratch).glob('mmcv-*.whl')), None)
            if built is None or not is_whole(built):
                raise SetupError(
                    f'mmcv was built without its operators (log: {log}); check that the C++ '
                    f'compiler {compiler} works, then run make again'
                )
            folder.mkdir(exist_ok=True)
            os.replace(built, folder / built.name)
            return folder / built.name


# ---------------------------------------------------------------- the environment


def create_venv() -> None:
    run(
        [interpreter(), '-m', 'venv', '--clear', str(VENV)],
        'creating .venv',
        env={key: value for key, value in os.environ.items() if key != 'PYTHONHOME'},
        log=Path(os.devnull),
    )


def venv_works() -> bool:
    """Whether `.venv` is a whole one of this interpreter, made at this place."""
    if not VENV_PYTHON.exists() or BUSY.exists():
        return False
    code = "import pip, platform, os, sys; print(platform.python_version(), end=' ');"
    code += 'print(os.path.realpath(sys.base_prefix)); print(sys.prefix)'
    done = subprocess.run(
        [str(VENV_PYTHON), '-c', code], capture_output=True, text=True, env=clean_environ()
    )
    if done.returncode:
        return False
    base, prefix = done.stdout.splitlines()
    pip = VENV / 'bin' / 'pip'
    moved = pip.exists() and str(VENV) not in pip.read_text(errors='replace')[:1000]
    return base == interpreter_id() and os.path.realpath(prefix) == str(VENV) and not moved


def imports(code: str) -> str:
    """Runs a line in `.venv`, away from the source tree; returns the error's last line or ''."""
    done = subprocess.run(
        [str(VENV_PYTHON), '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
        env=clean_environ(),
        cwd=VENV,
    )
    if done.returncode == 0:
        return ''
    return (done.stderr.strip().splitlines() or [f'exit {done.returncode}'])[-1]


def mend_opencv() -> None:
    """Takes OpenCV's headless build where the usual one misses a library of a desktop (libGL)."""
    error = imports('import cv2')
    if not error:
        return
    if '.so' not in error:
        raise SetupError(f'OpenCV does not load ({error}); remove .venv and run make again')
    say(f'OpenCV misses a system library ({error}); taking its headless build')
    run(
        [str(VENV_PYTHON), '-m', 'pip', 'uninstall', '-y', 'opencv-python']
        + ['opencv-python-headless'],
        'removing opencv-python',
    )
    pip_install(
        ['--no-deps', '-c', str(STACK), 'opencv-python-headless'],
        'installing opencv-python-headless',
        'run make again',
    )


def install(torch: str, compiler: str) -> None:
    say(f'installing {torch}')
    pip_install(
        [*BUILD_TOOLS, torch],
        f'installing {torch}',
        'check the network and the requirement; another one can be given: make TORCH=...',
    )
    wheel = mmcv_wheel(compiler)
    say('installing mmdet, mmengine and this project')
    pip_install(
        ['--no-build-isolation', '-c', str(STACK), str(wheel), '-e', f'{ROOT}[dev]']
        + ['mmdet', 'mmengine', torch],
        'installing mmdet',
        'check the network, then run make again',
    )
    mend_opencv()


def set_up() -> None:
    state = read_state()
    torch = torch_requirement(state)
    wanted: dict[str, object] = {
        'fingerprint': fingerprint(),
        'python': interpreter_id(),
        'torch': torch,
        # Kept, so that a later plain `make` does not go back to the default.
        'torch_given': torch if os.environ.get('TORCH', '').strip() else state.get('torch_given'),
    }
    if state == wanted and VENV_PYTHON.exists():
        return

    compiler = preflight()
    started = time.monotonic()
    reuse = venv_works() and (not state or state.get('torch') == torch)
    # Without a finished state the next run starts again here, whatever happens below.
    STATE.unlink(missing_ok=True)
    if not reuse:
        say(f'creating {VENV} with Python {platform.python_version()} ({interpreter()})')
        create_venv()
    install(torch, compiler)
    error = imports('import mmcv.ops, mmdet, mmengine, pycocotools')
    if error and reuse:
        say(f'the old .venv is damaged ({error}); building it anew')
        create_venv()
        install(torch, compiler)
        error = imports('import mmcv.ops, mmdet, mmengine, pycocotools')
    error = error or imports('import ldwsccd_mmdet')
    if error:
        raise SetupError(
            f'all is installed but does not load: {error} (log: {LOG}); mend that and run make '
            'again, after removing .venv if the fault lies in there'
        )
    write_state(wanted)
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
