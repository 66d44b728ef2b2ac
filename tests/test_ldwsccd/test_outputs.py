"""A place where nothing can be written is said before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ldwsccd.commands import COMMANDS, CONVERTERS
from ldwsccd.main import command_module, parse_args
from ldwsccd.outputs import FILES, FOLDERS, OutputError, check_outputs
from ldwsccd.tool import run_tool


def arguments(name: str, **places: Path) -> argparse.Namespace:
    return argparse.Namespace(command_name=name, **places)


@pytest.mark.parametrize('table', [FILES, FOLDERS])
def test_arguments_are_there(table: dict[str, tuple[str, ...]]) -> None:
    for name, keys in table.items():
        parser = argparse.ArgumentParser()
        command_module(name).add_arguments(parser)
        assert set(keys) <= {action.dest for action in parser._actions}, name
    known = {*COMMANDS, *(f'convert {name}' for name in CONVERTERS)}
    assert set(table) <= known


@pytest.mark.parametrize(
    ('name', 'key', 'place', 'match'),
    [
        ('hide', 'out', '.', r"--out: '.*' is a folder: name a file in it"),
        ('hide', 'out', 'taken/a.json', r"can't be written \('.*taken' is no folder\)"),
        ('hide', 'out', 'taken/new/a.json', r"can't be written \('.*taken' is no folder\)"),
        ('train', 'work_dir', 'taken', r"--work-dir: '.*taken' is no folder"),
        ('recall', 'save', '/proc/no/a.npz', r"--save: '/proc/no/a.npz' can't be written"),
        ('vgg', 'out', '/dev/full/a.pth', r"^out: '/dev/full/a.pth' can't be written"),
        ('browse-pseudo-boxes', 'out_dir', 'taken/a', r'^--out-dir: '),
    ],
)
def test_refused(tmp_path: Path, name: str, key: str, place: str, match: str) -> None:
    (tmp_path / 'taken').write_text('of the user')
    with pytest.raises(OutputError, match=match):
        check_outputs(arguments(name, **{key: tmp_path / place}))
    assert [file.name for file in tmp_path.iterdir()] == ['taken']


@pytest.mark.parametrize('name', [*FILES, *FOLDERS])
def test_new_places_pass_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    for table in (FILES, FOLDERS):
        for key in table.get(name, ()):
            check_outputs(arguments(name, **{key: tmp_path / 'new' / 'x'}))
            check_outputs(argparse.Namespace(command_name=name, **{key: None}))
    assert not list(tmp_path.iterdir())


def test_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = parse_args('hide', ['a.json', '--out', str(tmp_path)])
    assert run_tool(command_module('hide').main, args) == 2
    assert capsys.readouterr().err == f"error: --out: '{tmp_path}' is a folder: name a file in it\n"
