"""The table of stacks, the commands it makes, and the workflow that calls it; nothing is built."""

import csv
import importlib.util
import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def stacks():
    spec = importlib.util.spec_from_file_location('stacks', ROOT / 'dev' / 'stacks.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules['stacks'] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules['stacks']


def test_the_default_is_what_set_up_installs(stacks):
    pinned = (ROOT / 'requirements' / 'stack.txt').read_text()
    default = re.search(
        r"DEFAULT_TORCH = '(.*)'", (ROOT / 'dev' / 'setup_env.py').read_text()
    ).group(1)
    assert stacks.STACKS['lite'].torch == (default,)
    for package in (*stacks.STACKS['lite'].packages, *stacks.STACKS['compiled'].packages):
        assert package in pinned.splitlines()


def test_workflow_runs_every_stack(stacks):
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text())
    rows = workflow['jobs']['stack']['strategy']['matrix']['include']
    wanted = {(name, stack.python) for name, stack in stacks.STACKS.items()}
    assert {(row['stack'], row['python']) for row in rows} == wanted


def test_checks_are_there(stacks):
    assert all((ROOT / path).exists() for path in stacks.CHECK)


def test_a_fork_never_brings_the_official_packages(stacks, monkeypatch, tmp_path):
    monkeypatch.setattr(stacks, 'interpreter', lambda version: f'python{version}')
    lines = [' '.join(line) for line in stacks.commands(stacks.STACKS['onedl'], tmp_path)]
    assert not any(re.search(r' (mmdet|mmengine)==', line) for line in lines)
    assert all('--no-deps' in line for line in lines if 'onedl' in line or '-e ' in line)
    compiled = [' '.join(c) for c in stacks.commands(stacks.STACKS['compiled'], tmp_path)]
    assert any('--no-binary mmcv mmdet' in line for line in compiled)
    pip = [line for line in [*lines, *compiled] if 'pip install' in line]
    assert pip and all(f'-c {ROOT / "requirements" / "stack.txt"}' in line for line in pip)


def test_a_missing_python_is_a_failed_row(stacks, monkeypatch, tmp_path):
    monkeypatch.setattr(stacks.shutil, 'which', lambda name: None)
    monkeypatch.setattr(stacks.platform, 'python_version_tuple', lambda: ('3', '9', '0'))
    row = stacks.try_stack('py312', tmp_path / 'py312')
    assert (row['result'], row['last_line']) == ('failed', 'python3.12 is not in PATH')


def test_rows_replace_older_ones(stacks, tmp_path):
    path = tmp_path / 'stacks.csv'
    stacks.add_rows(path, [dict(stack='a', result='failed'), dict(stack='b', result='passed')])
    stacks.add_rows(path, [dict(stack='a', result='passed')])
    rows = list(csv.DictReader(path.open()))
    assert rows == [dict(stack='b', result='passed'), dict(stack='a', result='passed')]


def test_a_row_names_no_folder_of_the_machine(stacks, monkeypatch, tmp_path):
    folder = tmp_path / 'envs' / 'py312'
    failing = f'print("no file {folder}/bin/x, {ROOT}/setup.py"); raise SystemExit(1)'
    monkeypatch.setattr(stacks, 'commands', lambda *_: [[sys.executable, '-c', failing]])
    row = stacks.try_stack('py312', folder)
    assert row['result'] == 'failed'
    assert row['last_line'] == f'no file py312/bin/x, {ROOT.name}/setup.py'
