"""The wheel outside the clone: its command, its configs, and the quick demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import ROOT

PARTS = ('ldwsccd', 'ldwsccd_mmdet', 'configs', 'tools')
FILES = ('setup.py', 'pyproject.toml', 'LICENSE', 'README.md', 'model-index.yml')

Run = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope='module')
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a program of an environment that holds the wheel, in a folder outside the clone."""
    folder = tmp_path_factory.mktemp('wheel')
    sources = folder / 'sources'
    ignored = shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
    for name in PARTS:
        shutil.copytree(ROOT / name, sources / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, sources)
    build = "from setuptools import build_meta; build_meta.build_wheel('../dist')"
    python = [sys.executable, '-W', 'ignore']
    subprocess.run([*python, '-c', build], cwd=sources, check=True, capture_output=True)
    (wheel,) = (folder / 'dist').iterdir()
    shutil.rmtree(sources)

    # torch and the rest are those of this environment, by their path; ours are not among them
    subprocess.run([*python, '-m', 'venv', '--without-pip', folder / 'venv'], check=True)
    venv_python = folder / 'venv' / 'bin' / 'python'
    version = f'python{sys.version_info.major}.{sys.version_info.minor}'
    packages = folder / 'venv' / 'lib' / version / 'site-packages'
    (packages / 'rest.pth').write_text(sysconfig.get_path('purelib') + '\n')
    install = ['-m', 'pip', '--python', venv_python, 'install', '--no-deps', '--no-index', wheel]
    subprocess.run([*python, *install], check=True, capture_output=True)

    work = folder / 'work'
    work.mkdir()
    outside = [
        path
        for path in os.environ.get('PYTHONPATH', '').split(os.pathsep)
        if path and not Path(path).resolve().is_relative_to(ROOT)
    ]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(outside), 'OMP_NUM_THREADS': '1'}

    def program(name: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [str(folder / 'venv' / 'bin' / name), *arguments]
        done = subprocess.run(
            command, cwd=work, env=env, capture_output=True, text=True, timeout=7200
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return program


def test_sources_hold_all_that_is_tracked(tmp_path: Path) -> None:
    if not (ROOT / '.git').exists() or shutil.which('git') is None:
        pytest.skip('needs a clone and git, to know what is tracked')
    listing = subprocess.run(['git', 'ls-files'], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip(f'git does not tell what is tracked: {listing.stderr.strip()}')
    listed = listing.stdout.splitlines()
    tracked = {name for name in listed if '.mim/' not in name and (ROOT / name).is_file()}
    sources = tmp_path / 'sources'
    for name in tracked:
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, sources / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('../dist')"
    command = [sys.executable, '-W', 'ignore', '-c', build]
    subprocess.run(command, cwd=sources, check=True, capture_output=True)
    (archive,) = (tmp_path / 'dist').iterdir()
    with tarfile.open(archive) as files:
        held = {name.partition('/')[2] for name in files.getnames()}
    assert tracked <= held


CONFIGS = """
from pathlib import Path
import ldwsccd_mmdet
from mmengine.registry import MODELS
from mmengine.config import Config
from ldwsccd_mmdet.engine.config_file import find_config, load_config

assert 'site-packages' in ldwsccd_mmdet.__file__, ldwsccd_mmdet.__file__
plain = load_config('ldwsccd_ssd512_adamw_ccd.py')
assert '.mim' in find_config('ldwsccd_ssd512.py').parts
Path('mine.py').write_text("_base_ = 'ldwsccd_mmdet::ldwsccd/ldwsccd_ssd512_adamw_ccd.py'\\n"
                           "model = dict(teacher=None, distillation=None)\\n")
mine = load_config('mine.py')
assert mine.model.bbox_head.num_classes == plain.model.bbox_head.num_classes
from mmdet.utils import register_all_modules
register_all_modules(init_default_scope=True)
assert type(MODELS.build(mine.model)).__name__ == 'LDWSCCD'
"""


@pytest.mark.slow
def test_command_and_configs(run: Run) -> None:
    assert run('ldwsccd', '--version').stdout.startswith('ldwsccd_mmdet 0')
    assert '--auto-scale-lr' in run('ldwsccd', 'train', '--help').stdout
    assert 'demo' in run('python', '-m', 'ldwsccd', '--help').stdout
    assert 'demo' in run('python', '-m', 'ldwsccd_mmdet', '--help').stdout
    run('python', '-W', 'ignore', '-c', CONFIGS)


@pytest.mark.slow
def test_quick_demo(run: Run, tmp_path: Path) -> None:
    out = tmp_path / 'demo, with space'
    said = run('ldwsccd', 'demo', '--quick', '--out', str(out)).stdout
    page = (out / 'index.html').read_text(encoding='utf-8')
    assert str(out / 'index.html') in said and 'LD-WSCCD' in page
    assert 'ldwsccd demo --quick' in page
