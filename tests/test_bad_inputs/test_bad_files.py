"""Every file that a command reads or writes, missing or of another kind: one line that names it."""

from __future__ import annotations

import argparse
from collections.abc import Container
from pathlib import Path

import pytest

from ldwsccd.commands import COMMANDS, CONVERTERS, Command
from ldwsccd.main import command_module
from tests.test_bad_inputs.bad_files import KINDS, OUTPUTS, QUICK, put
from tests.test_bad_inputs.bad_runs import run_line, verdict
from tests.test_bad_inputs.lines import NO_FILES, READ, WRITTEN, Line

NAMES = [name for name, entry in COMMANDS.items() if isinstance(entry, Command)]
NAMES += [f'convert {name}' for name in CONVERTERS]


def each(lines: tuple[Line, ...], kinds: dict, quick: Container[str]) -> list:
    """A test of each line with each kind; those that build a model first are slow."""
    return [
        pytest.param(
            line,
            kind,
            id=f'{line.command}-{line.argument}{line.suffix}-{kind}-{index}',
            marks=[pytest.mark.slow] if line.slow or kind not in quick else [],
        )
        for index, line in enumerate(lines)
        for kind in kinds
        if kinds is KINDS or kind != ('file' if line.suffix else 'folder')  # those are right
    ]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.mark.parametrize(('line', 'kind'), each(READ, KINDS, QUICK))
def test_what_is_read(line: Line, kind: str, workplace: Path, tmp_path: Path) -> None:
    if line.needs:
        pytest.importorskip(line.needs)
    (tmp_path / 'in').mkdir()
    bad = put(kind, tmp_path / 'in' / f'bad_file{line.suffix}')
    outcome = run_line(line, bad, workplace, tmp_path)
    if kind in line.may:
        assert outcome.code in (0, 1) and 'Traceback' not in outcome.said and not outcome.left
        return
    assert verdict(outcome, 'bad_file') == '', outcome


@pytest.mark.parametrize(('line', 'kind'), each(WRITTEN, OUTPUTS, OUTPUTS))
def test_what_is_written(line: Line, kind: str, workplace: Path, tmp_path: Path) -> None:
    (tmp_path / 'in').mkdir()
    bad = OUTPUTS[kind](tmp_path / 'in', f'bad_place{line.suffix}')
    before = {f: f.read_bytes() for f in (tmp_path / 'in').rglob('*') if f.is_file()}
    outcome = run_line(line, bad, workplace, tmp_path)
    after = {f: f.read_bytes() for f in before if f.is_file()}
    assert after == before  # the user's files
    assert verdict(outcome, 'bad_place', str(bad)) == '', outcome


@pytest.mark.parametrize('name', NAMES)
def test_every_argument_is_here(name: str) -> None:
    """One that is new is a file, and has a line, or is listed as none."""
    parser = argparse.ArgumentParser()
    command_module(name).add_arguments(parser)
    texts = {
        action.dest
        for action in parser._actions
        if action.type in (None, str, Path)
        and action.choices is None
        and action.nargs != 0
        and action.dest != 'help'
    }
    known = {line.argument for line in (*READ, *WRITTEN) if line.command == name}
    assert texts - known <= NO_FILES, f'give {texts - known - NO_FILES} a line in lines.py'
