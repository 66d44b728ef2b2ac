"""The set-up scripts' faults, choices and repairs, and what a wheel holds; nothing is installed."""

import importlib
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SH = shutil.which('sh') or '/bin/sh'
# The interpreter under the environment that runs the tests: what a user would give as PYTHON.
BASE_PYTHON = getattr(sys, '_base_executable', sys.executable)


@pytest.fixture
def clone(tmp_path):
    """What set-up needs of a clone, at a place of its own, so that no real .venv is touched."""
    root = tmp_path / 'clone'
    (root / 'dev').mkdir(parents=True)
    (root / 'requirements').mkdir()
    for path in (ROOT / 'dev').glob('*setup_*'):
        shutil.copy(path, root / 'dev' / path.name)
    for name in ('setup.py', 'pyproject.toml', 'requirements/stack.txt', 'dev/mmcv_wheel.py'):
        shutil.copy(ROOT / name, root / name)
    return root


@pytest.fixture
def set_up(clone, tmp_path):
    """Runs the set-up script of the clone with only the given environment."""

    def run(**env):
        base = {'PATH': os.environ['PATH'], 'XDG_CACHE_HOME': str(tmp_path / 'cache')}
        base.update({'HOME': str(tmp_path), 'PYTHONDONTWRITEBYTECODE': '1'})
        return subprocess.run(
            [SH, str(clone / 'dev' / 'setup_env.sh')],
            capture_output=True,
            text=True,
            env={**base, **env},
            timeout=300,
        )

    return run


@pytest.fixture
def load(clone, monkeypatch):
    """Loads a script of the clone's dev/ as a module, with those it imports."""
    for name in ('setup_steps', 'setup_venv', 'mmcv_wheel', 'setup_env'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(clone / 'dev'))
    for name in ('TORCH', 'MMCV', 'CXX', 'MAX_JOBS'):
        monkeypatch.delenv(name, raising=False)
    yield importlib.import_module
    for name in ('setup_steps', 'setup_venv', 'mmcv_wheel', 'setup_env'):
        sys.modules.pop(name, None)


@pytest.fixture
def module(load):
    """`dev/setup_env.py` of the clone as a module."""
    return load('setup_env')


def executable(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!{SH}\n{textwrap.dedent(body)}')
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str) -> Path:
    """Says its version when asked for it, else which script it was to run."""
    return executable(
        path, f'if [ "$1" = -c ]; then printf %s {version}; else echo {path.name} ran "$@"; fi\n'
    )


def one_line(done: subprocess.CompletedProcess, clone: Path) -> str:
    """The fault of a failed set-up, which must be one line, said before anything was installed."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith('set-up: ')
    assert done.stdout == ''
    assert not (clone / '.venv' / 'pyvenv.cfg').exists()
    return lines[0]


# ---------------------------------------------------------------- faults, each one line


@pytest.mark.parametrize('version', ['2.7', '3.9', '3.14'])
def test_unsupported_python(set_up, clone, tmp_path, version):
    python = fake_python(tmp_path / 'bin' / 'python', version)
    line = one_line(set_up(PYTHON=str(python)), clone)
    assert f'Python {version}, which is not supported' in line
    assert '3.10 to 3.13' in line and 'make PYTHON=' in line


def test_python_that_does_not_run(set_up, clone):
    line = one_line(set_up(PYTHON='/nowhere/python3'), clone)
    assert 'PYTHON=/nowhere/python3 does not run' in line and 'make PYTHON=' in line


def test_no_supported_python_in_path(set_up, clone, tmp_path):
    fake_python(tmp_path / 'bin' / 'python3', '3.14')
    line = one_line(set_up(PATH=str(tmp_path / 'bin')), clone)
    assert 'python3 is 3.14' in line and 'make PYTHON=' in line


def test_first_supported_python_is_taken(set_up, tmp_path):
    for name, version in (('python3', '3.14'), ('python3.11', '3.11'), ('python3.10', '3.10')):
        fake_python(tmp_path / 'bin' / name, version)
    executable(tmp_path / 'bin' / 'python3.12', 'exit 127\n')  # a version manager's empty shim
    done = set_up(PATH=str(tmp_path / 'bin'))
    assert done.returncode == 0
    assert done.stdout.startswith('python3.11 ran ') and 'setup_env.py' in done.stdout


@pytest.mark.parametrize('name', ['venv', 'ensurepip'])
def test_missing_venv_module(set_up, clone, tmp_path, name):
    (tmp_path / 'sitecustomize.py').write_text(f'import sys\nsys.modules[{name!r}] = None\n')
    line = one_line(set_up(PYTHON=BASE_PYTHON, PYTHONPATH=str(tmp_path)), clone)
    assert f'has no {name} module' in line and '-venv' in line


def test_old_pip(set_up, clone, tmp_path):
    (tmp_path / 'ensurepip.py').write_text("def version():\n    return '20.2.3'\n")
    line = one_line(set_up(PYTHON=BASE_PYTHON, PYTHONPATH=str(tmp_path)), clone)
    assert 'pip 20.2.3 is too old, 21.3 or newer is needed for editable installs' in line
    assert 'pip install -U pip' in line


def test_missing_compiler(set_up, clone, tmp_path):
    (tmp_path / 'empty').mkdir()
    line = one_line(
        set_up(PYTHON=BASE_PYTHON, MMCV='compiled', PATH=str(tmp_path / 'empty')), clone
    )
    assert 'no C++ compiler found' in line and 'apt install g++' in line


def test_compiler_of_the_user_is_missing(set_up, clone):
    line = one_line(set_up(PYTHON=BASE_PYTHON, MMCV='compiled', CXX='no-such-compiler'), clone)
    assert 'CXX=no-such-compiler does not run' in line


def test_compiler_too_old(set_up, clone, tmp_path):
    compiler = executable(tmp_path / 'bin' / 'c++', 'exit 1\n')
    line = one_line(set_up(PYTHON=BASE_PYTHON, MMCV='compiled', CXX=str(compiler)), clone)
    assert 'cannot compile C++17' in line and 'make CXX=' in line


def test_folder_in_the_way(set_up, clone):
    (clone / '.venv').mkdir()
    (clone / '.venv' / 'precious.txt').write_text('mine')
    line = one_line(set_up(PYTHON=BASE_PYTHON), clone)
    assert 'is not a virtual environment; move it away' in line
    assert (clone / '.venv' / 'precious.txt').read_text() == 'mine'


def test_cache_that_cannot_be_written(set_up, clone, tmp_path):
    (tmp_path / 'file').write_text('')
    cache = str(tmp_path / 'file')
    line = one_line(set_up(PYTHON=BASE_PYTHON, MMCV='compiled', XDG_CACHE_HOME=cache), clone)
    assert 'cannot write to' in line and 'XDG_CACHE_HOME' in line


def test_torch_that_is_none(set_up, clone):
    line = one_line(set_up(PYTHON=BASE_PYTHON, TORCH='tensorflow==2'), clone)
    assert 'TORCH=tensorflow==2 is not a torch requirement' in line and 'make TORCH=' in line


def test_mmcv_that_is_none(set_up, clone):
    line = one_line(set_up(PYTHON=BASE_PYTHON, MMCV='full'), clone)
    assert 'MMCV=full is neither lite nor compiled' in line and 'make MMCV=lite' in line


def test_no_compiler_is_needed(module, monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    for mmcv in ('', 'lite'):
        assert module.preflight(mmcv) is None
    with pytest.raises(module.SetupError, match=r'no C\+\+ compiler found.*leave MMCV out'):
        module.preflight('compiled')


# ---------------------------------------------------------------- choices and repairs


@pytest.mark.parametrize(
    ('given', 'built_with', 'expected'),
    [
        ('', {}, 'torch==2.13.0'),
        ('', {'torch_given': 'torch==2.9.0'}, 'torch==2.9.0'),
        ('2.9.0+cpu', {}, 'torch==2.9.0+cpu'),
        ('torch>=2.6,<3', {'torch_given': 'torch==2.9.0'}, 'torch>=2.6,<3'),
        ('/kept/torch-2.9.0-cp311-none-any.whl', {}, '/kept/torch-2.9.0-cp311-none-any.whl'),
    ],
)
def test_torch_requirement(module, monkeypatch, given, built_with, expected):
    monkeypatch.setenv('TORCH', given)
    assert module.torch_requirement(built_with) == expected


def test_built_once_and_again_when_requirements_change(module, clone, monkeypatch):
    done = []
    monkeypatch.setattr(module, 'preflight', lambda mmcv: None)
    monkeypatch.setattr(module, 'venv_works', lambda: True)
    monkeypatch.setattr(module, 'venv_answer', lambda code: ('', ''))
    monkeypatch.setattr(module, 'install', lambda torch, mmcv, compiler: done.append(torch))
    executable(clone / '.venv' / 'bin' / 'python', 'exit 0\n')

    module.set_up()
    module.set_up()
    assert done == ['torch==2.13.0']
    with (clone / 'setup.py').open('a') as file:
        file.write('# changed\n')
    module.set_up()
    assert len(done) == 2


def test_other_torch_or_mmcv_starts_from_an_empty_environment(module, clone, monkeypatch):
    created = []
    monkeypatch.setattr(module, 'preflight', lambda mmcv: None)
    monkeypatch.setattr(module, 'venv_works', lambda: True)
    monkeypatch.setattr(module, 'venv_answer', lambda code: ('', ''))
    monkeypatch.setattr(module, 'install', lambda torch, mmcv, compiler: None)
    monkeypatch.setattr(module, 'create_venv', lambda: created.append(True))
    executable(clone / '.venv' / 'bin' / 'python', 'exit 0\n')

    module.set_up()
    assert created == []
    monkeypatch.setenv('TORCH', '2.9.0')
    module.set_up()
    assert created == [True]
    monkeypatch.delenv('TORCH')
    module.set_up()  # a plain `make` keeps what was asked for
    assert created == [True]
    monkeypatch.setenv('MMCV', 'lite')  # both mmcvs own one folder: never one over the other
    module.set_up()
    assert created == [True, True]


def test_failed_install_is_not_taken_for_done(module, clone, monkeypatch):
    def fail(torch, mmcv, compiler):
        raise module.SetupError('no network')

    monkeypatch.setattr(module, 'preflight', lambda mmcv: None)
    monkeypatch.setattr(module, 'venv_works', lambda: True)
    monkeypatch.setattr(module, 'venv_answer', lambda code: ('', ''))
    monkeypatch.setattr(module, 'install', lambda torch, mmcv, compiler: None)
    executable(clone / '.venv' / 'bin' / 'python', 'exit 0\n')
    module.set_up()
    assert module.read_state()
    (clone / 'setup.py').write_text('# changed\n')
    monkeypatch.setattr(module, 'install', fail)
    with pytest.raises(module.SetupError, match='no network'):
        module.set_up()
    assert module.read_state() == {}


def test_damaged_environment_is_built_anew(module, clone, monkeypatch):
    created = []
    monkeypatch.setattr(module, 'preflight', lambda mmcv: None)
    monkeypatch.setattr(module, 'venv_works', lambda: True)
    monkeypatch.setattr(
        module, 'venv_answer', lambda code: ('', '' if created else 'ImportError: x')
    )
    monkeypatch.setattr(module, 'install', lambda torch, mmcv, compiler: None)
    monkeypatch.setattr(module, 'create_venv', lambda: created.append(True))
    executable(clone / '.venv' / 'bin' / 'python', 'exit 0\n')
    module.set_up()
    assert created == [True]
    assert module.read_state()['torch'] == 'torch==2.13.0'


def test_killed_install_leaves_its_mark(load, clone, monkeypatch):
    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    module = load('setup_venv')
    executable(clone / '.venv' / 'bin' / 'python', 'exit 0\n')
    monkeypatch.setattr(module, 'run', killed)
    with pytest.raises(KeyboardInterrupt):
        module.pip_install(['torch'], 'installing torch', '')
    assert not module.venv_works()


def test_kept_wheel_must_hold_the_operators(load, tmp_path):
    module = load('mmcv_wheel')
    wheel = tmp_path / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl'
    assert module.kept_wheel(tmp_path) is None
    wheel.write_bytes(b'cut off')
    assert module.kept_wheel(tmp_path) is None
    with zipfile.ZipFile(wheel, 'w') as archive:
        archive.writestr('mmcv/__init__.py', '')
    assert module.kept_wheel(tmp_path) is None
    with zipfile.ZipFile(wheel, 'a') as archive:
        archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', '')
    assert module.kept_wheel(tmp_path) == wheel


@pytest.fixture
def wheels(load):
    """`dev/mmcv_wheel.py` of the clone as a module."""
    return load('mmcv_wheel')


@pytest.fixture
def wheel_builder(wheels, clone, tmp_path, monkeypatch):
    """`mmcv_wheel` with a stand-in for the compiler run; returns the list of builds."""
    builds = []

    def build(command, what, env, **kwargs):
        builds.append(env)
        scratch = Path(command[command.index('-w') + 1])
        with zipfile.ZipFile(scratch / 'mmcv-2.1.0-cp311-cp311-linux_x86_64.whl', 'w') as archive:
            archive.writestr('mmcv/_ext.cpython-311-x86_64-linux-gnu.so', '')

    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(wheels, 'run', build)
    wheels.wheel_cache().mkdir(parents=True)
    return builds


def test_mmcv_is_compiled_once_per_torch(wheels, wheel_builder, monkeypatch):
    torch = dict(version='2.13.0+cpu', cuda='', arch='', cuda_home='')
    monkeypatch.setattr(wheels, 'query_torch', lambda: torch)
    assert wheels.mmcv_wheel(None) is None  # without a compiler only a kept one is taken
    first = wheels.mmcv_wheel('g++')
    assert wheels.mmcv_wheel(None) == first
    assert wheels.mmcv_wheel('g++') == first
    assert len(wheel_builder) == 1
    assert wheel_builder[0]['MMCV_WITH_OPS'] == '1' and wheel_builder[0]['CXX'] == 'g++'
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    assert first.parent.name.startswith(f'{tag}-torch2.13.0+cpu-mmcv2.1.0-')
    assert not list(wheels.wheel_cache().glob('tmp-*'))

    torch['version'] = '2.9.0'
    assert wheels.mmcv_wheel('g++').parent != first.parent
    assert len(wheel_builder) == 2


@pytest.mark.parametrize(('cuda_home', 'force'), [('/usr/local/cuda', '1'), ('', '0')])
def test_mmcv_on_a_gpu_machine(wheels, wheel_builder, monkeypatch, capsys, cuda_home, force):
    torch = dict(version='2.13.0', cuda='13.0', arch='sm90', cuda_home=cuda_home)
    monkeypatch.setattr(wheels, 'query_torch', lambda: torch)
    wheel = wheels.mmcv_wheel('g++')
    assert wheel_builder[0]['FORCE_CUDA'] == force
    assert wheel.parent.name.endswith('-sm90') == bool(cuda_home)
    # Without nvcc the GPU is hidden from the build, and the user is told.
    assert (wheel_builder[0].get('CUDA_VISIBLE_DEVICES') == '') != bool(cuda_home)
    assert ('no CUDA toolkit' in capsys.readouterr().out) != bool(cuda_home)


def test_failing_command_shows_its_error_and_the_log(load, clone, tmp_path, capsys):
    module = load('setup_steps')
    log = tmp_path / 'log'
    script = executable(tmp_path / 'pip', "echo working\necho 'ERROR: no such thing'\nexit 3\n")
    with pytest.raises(module.SetupError, match=r'asking failed \(exit 3, log: .*\); try again'):
        module.run([str(script)], 'asking', remedy='try again', log=log)
    assert 'ERROR: no such thing' in capsys.readouterr().err
    assert 'working' in log.read_text()


# ---------------------------------------------------------------- wheel and editable install


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    """A copy of what is packaged, as builds leave files beside the sources."""
    copy = tmp_path_factory.mktemp('sources') / 'clone'
    copy.mkdir()
    ignored = shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
    for name in ('ldwsccd', 'ldwsccd_mmdet', 'configs', 'tools', 'requirements'):
        if (ROOT / name).exists():
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE', 'README.md'):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    return copy


def build(hook: str, sources: Path, target: Path) -> Path:
    """Calls setuptools' hook as pip does."""
    target.mkdir(exist_ok=True)
    code = f'from setuptools import build_meta; build_meta.{hook}({str(target)!r})'
    subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code], cwd=sources, check=True, capture_output=True
    )
    (made,) = target.iterdir()
    return made


@pytest.fixture(scope='module')
def wheel(sources, tmp_path_factory):
    return build('build_wheel', sources, tmp_path_factory.mktemp('dist'))


def test_wheel_contents(sources, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(n for n in names if n.endswith('METADATA'))).decode()
        record = archive.read(next(n for n in names if n.endswith('RECORD'))).decode()
        scripts = next(n for n in names if n.endswith('entry_points.txt'))
        entry_points = archive.read(scripts).decode()

    for folder in ('ldwsccd', 'ldwsccd_mmdet', 'configs', 'tools'):
        inside = '' if folder.startswith('ldwsccd') else 'ldwsccd_mmdet/.mim/'
        files = [path for path in (sources / folder).rglob('*') if path.suffix in ('.py', '.sh')]
        expected = {inside + path.relative_to(sources).as_posix() for path in files}
        assert expected and expected <= names, sorted(expected - names)
    assert 'ldwsccd_mmdet/py.typed' in names
    assert not [n for n in names if n.endswith('.pyc') or n.startswith(('tests/', 'build/'))]
    assert 'ldwsccd_mmdet/.mim/tools/train.py' in record
    for requirement in ('mmdet<4,>=3.3', 'mmcv<2.2,>=2.0.0rc4', 'mmcv-lite<2.2', 'torch>=2.6'):
        assert f'Requires-Dist: {requirement}' in metadata
    assert 'License-File: LICENSE' in metadata
    assert '](docs/' not in metadata and 'Description-Content-Type: text/markdown' in metadata
    assert 'Version: 0' in metadata and 'Requires-Dist: pillow' in metadata
    assert 'ldwsccd = ldwsccd.main:main' in entry_points


def test_data_files_of_the_package_are_in_the_wheel(sources, wheel):
    """A template that is forgotten in setup.py works from a clone only."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = [path for path in (sources / 'ldwsccd_mmdet').rglob('*') if path.is_file()]
    here = {path.relative_to(sources).as_posix() for path in package if '.mim' not in path.parts}
    assert here <= names, sorted(here - names)


def test_editable_install_finds_the_configs(sources, tmp_path):
    build('build_editable', sources, tmp_path / 'dist')
    mim = sources / 'ldwsccd_mmdet' / '.mim'
    assert (mim / 'tools').resolve() == sources / 'tools'
    assert (mim / 'tools' / 'train.py').exists()
    # Twice, as after each change of requirements: links are replaced, sources stay.
    build('build_editable', sources, tmp_path / 'again')
    assert (sources / 'tools' / 'train.py').exists()
    assert (mim / 'tools' / 'train.py').exists()
