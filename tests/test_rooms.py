"""No room imports from one above it, and the command line answers without torch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ldwsccd.commands import COMMANDS, CONVERTERS, Command
from ldwsccd.main import command_module, parse_args
from tests.commands import ROOT

# from the ground up; a room may import from those before it
FLOORS = [
    'errors process version optional csv_table image_files regular_files ops'.split(),
    ['datasets'],
    ['models'],
    ['evaluation'],
    ['engine', 'registry'],
    ['visualization'],
    ['apis'],
    ['preparation'],
    ['experiments'],
]
HEIGHT = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
PACKAGE = ROOT / 'ldwsccd_mmdet'
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob('*.py'))
INSIDE = [
    f for f in FILES if '.mim' not in f.parts and str(f) not in ('__init__.py', '__main__.py')
]
NAMES = [name for name, entry in COMMANDS.items() if isinstance(entry, Command)]
NAMES += [f'convert {name}' for name in CONVERTERS]


def imported(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = list(path.parent.parts)
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *filter(None, [node.module])])
            # `from . import x` and `from package import room` name modules, too
            found |= {module, *(f'{module}.{alias.name}' for alias in node.names)}
    return found


def rooms_of(modules: set[str]) -> set[str]:
    parts = [name.split('.') for name in modules]
    return {p[1] for p in parts if p[0] == 'ldwsccd_mmdet' and len(p) > 1} & HEIGHT.keys()


@pytest.mark.parametrize('file', INSIDE, ids=str)
def test_no_import_runs_up(file):
    room = file.parts[0].removesuffix('.py')
    assert room in HEIGHT, f'{room}: give the new room a floor here and a line in the docs'
    modules = imported(Path('ldwsccd_mmdet') / file)
    higher = {other for other in rooms_of(modules) if HEIGHT[other] > HEIGHT[room]}
    assert not higher, f'{file} imports from {", ".join(sorted(higher))}, above it'
    assert not {name for name in modules if name.split('.')[0] in ('ldwsccd', 'tools', 'tests')}


def test_the_package_imports_what_a_config_can_name_and_no_more():
    rooms = rooms_of(imported(Path('ldwsccd_mmdet/__init__.py')))
    assert not rooms & {'apis', 'preparation', 'experiments'}
    assert {'datasets', 'engine', 'evaluation', 'models', 'visualization'} <= rooms


LIGHT = """
import sys
from ldwsccd.main import main, parse_args
for words in (['--help'], ['train', '--help'], ['convert', '--help'], ['convert', 'voc', '--help']):
    try:
        main(words)
    except SystemExit as error:
        assert error.code == 0, words
heavy = {'torch', 'mmdet', 'mmengine', 'numpy', 'rich', 'ldwsccd_mmdet'} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_loads_nothing_heavy_and_takes_under_a_second():
    before = os.times()
    command = [sys.executable, '-c', LIGHT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    after = os.times()
    assert done.returncode == 0, done.stderr
    spent = sum(b - a for a, b in zip(before[2:4], after[2:4], strict=True))
    assert spent < 1.0, f'{spent:.2f} s of processor time'
    assert all(name in done.stdout for name in COMMANDS)


REGISTERED = """
import sys
import ldwsccd_mmdet
from mmdet.registry import VISUALIZERS
assert 'CytologyVisualizer' in VISUALIZERS.module_dict
rooms = ('apis', 'preparation', 'experiments')
rooms = tuple(f'ldwsccd_mmdet.{room}' for room in rooms)
found = [name for name in sys.modules if name.startswith(rooms)]
assert not found and not any(name.split('.')[0] == 'ldwsccd' for name in sys.modules), found
"""


def test_importing_the_package_loads_no_report_and_no_command_line():
    command = [sys.executable, '-W', 'ignore', '-c', REGISTERED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('name', NAMES)
def test_every_command_has_help_and_arguments(name, capsys):
    with pytest.raises(SystemExit) as raised:
        parse_args(name, ['--help'])
    assert raised.value.code == 0
    assert capsys.readouterr().out.startswith('usage: ')
    module = command_module(name)
    assert module.__doc__ and callable(module.main)


def test_every_door_opens_a_command():
    doors = sorted((ROOT / 'tools').rglob('*.py'))
    assert len(doors) > 15
    for door in doors:
        text = door.read_text(encoding='utf-8')
        name = text.split("run_command('")[1].split("'")[0]
        assert name in NAMES and len(text.splitlines()) < 10, door
        assert 'noqa' not in text and 'sys.path' not in text, door


def test_unknown_command(capsys):
    from ldwsccd.main import main

    with pytest.raises(SystemExit) as raised:
        main(['trian'])
    assert raised.value.code == 2 and "invalid choice: 'trian'" in capsys.readouterr().err
