"""mmcv with compiled operators: the kept wheel, and how it is made (`MMCV=compiled make env`)."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from setup_steps import VENV_PYTHON, SetupError, clean_environ, locked, pinned, run, say
from setup_steps import venv_answer as answer

CORE_MINUTES = 22  # measured: mmcv 2.1.0 for the CPU, gcc 12, 12 minutes on 2 busy cores
GIB_PER_JOB = 1.5


def wheel_cache() -> Path:
    base = os.environ.get('XDG_CACHE_HOME', '')
    home = Path(base) if os.path.isabs(base) else Path.home() / '.cache'
    return home / 'ldwsccd_mmdet' / 'wheels'


def check_compiler() -> str:
    """Says what is missing before anything is installed, and returns the C++ compiler."""
    names = [os.environ['CXX']] if os.environ.get('CXX') else ['c++', 'g++', 'clang++']
    compiler = next((name for name in names if shutil.which(name.split()[0])), None)
    if compiler is None:
        what = f'CXX={names[0]} does not run' if len(names) == 1 else 'no C++ compiler found'
        raise SetupError(
            f"{what}, and MMCV=compiled compiles mmcv's operators; install one (Debian, Ubuntu: "
            'apt install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install), or '
            'leave MMCV out'
        )
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
            f'Ubuntu: apt install python{sys.version_info[0]}.{sys.version_info[1]}-dev), or '
            'choose another Python: make PYTHON=...'
        )
    try:
        wheel_cache().mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=wheel_cache()).close()
    except OSError as error:
        raise SetupError(
            f'cannot write to {wheel_cache()} ({error.strerror}), where the compiled mmcv is kept; '
            'set XDG_CACHE_HOME to a folder that can be written'
        ) from None
    return compiler


def query_torch() -> dict[str, str]:
    """Version of the installed torch, and the GPU architecture to compile for ('' for none)."""
    text, error = answer(
        'import json, torch\n'
        "arch = ''\n"
        'if torch.version.cuda and torch.cuda.is_available():\n'
        "    arch = 'sm%d%d' % torch.cuda.get_device_capability()\n"
        'from torch.utils.cpp_extension import CUDA_HOME\n'
        "print(json.dumps(dict(version=torch.__version__, cuda=torch.version.cuda or '', "
        "arch=arch, cuda_home=CUDA_HOME or '')))\n"
    )
    if error:
        raise SetupError(
            f'the installed torch does not load ({error}); try another: make TORCH=...'
        )
    result: dict[str, str] = json.loads(text.splitlines()[-1])
    return result


def cache_key(torch: dict[str, str], with_cuda: bool) -> str:
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    key = f'{tag}-torch{torch["version"]}-mmcv{pinned("mmcv")}-{sys.platform}-{platform.machine()}'
    return f'{key}-{torch["arch"]}' if with_cuda else key


def kept_wheel(folder: Path) -> Path | None:
    """A wheel in the folder that can be read and holds the compiled operators."""
    for wheel in sorted(folder.glob('mmcv-*.whl')):
        try:
            with zipfile.ZipFile(wheel) as archive:
                if any(re.match(r'mmcv/_ext\..*so$', name) for name in archive.namelist()):
                    return wheel
        except (OSError, zipfile.BadZipFile):
            continue
    return None


def compile_jobs() -> int:
    given = os.environ.get('MAX_JOBS', '')
    if given.isdigit() and int(given) > 0:
        return int(given)
    affinity = getattr(os, 'sched_getaffinity', None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30
    except (ValueError, OSError):
        return cores
    return max(1, min(cores, int(memory / GIB_PER_JOB)))


def mmcv_wheel(compiler: str | None) -> Path | None:
    """The wheel of mmcv with compiled operators for the installed torch.

    Without a compiler only a kept one is looked for, and there may be none.
    """
    if compiler is None and not wheel_cache().is_dir():
        return None
    torch = query_torch()
    with_cuda = bool(torch['arch'] and torch['cuda_home'])
    key = cache_key(torch, with_cuda)
    wheel = kept_wheel(wheel_cache() / key)
    if wheel is not None:
        say(f'mmcv {pinned("mmcv")}: compiled before, taken from {wheel.parent}')
    if wheel is not None or compiler is None:
        return wheel
    if torch['arch'] and not with_cuda:
        say(
            "a GPU is there but no CUDA toolkit, so mmcv's operators will run on the CPU only; for "
            f'the GPU install CUDA {torch["cuda"]} (nvcc), remove .venv and run make again'
        )
    with locked(wheel_cache() / f'{key}.lock', 'another set-up is compiling mmcv; waiting for it'):
        return kept_wheel(wheel_cache() / key) or build_wheel(key, compiler, with_cuda)


def build_wheel(key: str, compiler: str, with_cuda: bool) -> Path:
    """Compiles mmcv and keeps the wheel under the key, of which the caller holds the lock."""
    jobs = compile_jobs()
    log = wheel_cache() / f'{key}.log'
    log.unlink(missing_ok=True)
    say(
        f'compiling mmcv {pinned("mmcv")}, about {math.ceil(CORE_MINUTES / jobs)} minutes on '
        f'{jobs} cores, once (log: {log})'
    )
    for stale in wheel_cache().glob(f'tmp-{key}-*'):  # of a killed build
        shutil.rmtree(stale, ignore_errors=True)
    env = clean_environ(MMCV_WITH_OPS='1', MAX_JOBS=str(jobs), CXX=compiler)
    env['FORCE_CUDA'] = '1' if with_cuda else '0'
    if not with_cuda:
        env['CUDA_VISIBLE_DEVICES'] = ''  # else mmcv asks for nvcc wherever a GPU is seen
    with tempfile.TemporaryDirectory(dir=wheel_cache(), prefix=f'tmp-{key}-') as scratch:
        run(
            [str(VENV_PYTHON), '-m', 'pip', 'wheel', '-v', '--no-input', '--no-color']
            + ['--no-build-isolation', '--no-deps', '--no-cache-dir']
            + ['--no-binary', 'mmcv', '-w', scratch, f'mmcv=={pinned("mmcv")}'],
            'compiling mmcv',
            env=env,
            remedy='mend that, leave MMCV out, or try another torch: make TORCH=...',
            log=log,
        )
        built = kept_wheel(Path(scratch))
        if built is None:
            raise SetupError(
                f'mmcv was built without its operators (log: {log}); check that the C++ '
                f'compiler {compiler} works, then run make again'
            )
        folder = wheel_cache() / key
        folder.mkdir(exist_ok=True)
        os.replace(built, folder / built.name)
    return folder / built.name
