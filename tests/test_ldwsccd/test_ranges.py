"""Every number of every command: one that can't be meant is one line that names it."""

from __future__ import annotations

import argparse

import pytest

from ldwsccd.commands import COMMANDS, CONVERTERS, Command
from ldwsccd.main import command_module
from ldwsccd.ranges import NumberError, check_numbers
from ldwsccd.tool import run_tool

NAMES = [name for name, entry in COMMANDS.items() if isinstance(entry, Command)]
NAMES += [f'convert {name}' for name in CONVERTERS]


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    command_module(name).add_arguments(parser)
    return parser


def defaults_of(name: str) -> argparse.Namespace:
    return argparse.Namespace(**{a.dest: a.default for a in parser_of(name)._actions})


@pytest.mark.parametrize('name', NAMES)
def test_numbers_of_a_command(name: str) -> None:
    check_numbers(defaults_of(name))
    for action in parser_of(name)._actions:
        if action.type not in (int, float) or action.dest == 'levels':
            continue
        assert action.option_strings, 'the message has the dashes of an option'
        bad = [-1, 2**31 if action.type is int else float('inf'), float('nan'), -0.5]
        for value in bad:
            if value == 2**31 and 'seed' in action.dest:
                continue
            args = defaults_of(name)
            setattr(args, action.dest, [1, value] if action.nargs else value)
            with pytest.raises(NumberError, match=f'^--{action.dest.replace("_", "-")}: expected'):
                check_numbers(args)


def test_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(fraction=float('nan'))
    assert run_tool(lambda _: 0, args) == 2
    assert capsys.readouterr().err == 'error: --fraction: expected a finite number, found nan\n'
