"""Every command `ldwsccd ...` in README and the pages is one that the command line takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ldwsccd.commands import COMMANDS
from ldwsccd.main import parse_args

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md'), *ROOT.glob('configs/*/README.md')]
)


def commands(page: Path) -> list[str]:
    """Lines of code blocks, fenced or indented, that start with the command."""
    text = page.read_text('utf-8').replace('\\\n', ' ')
    code = re.findall(r'^```(?:bash|text)?\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
    lines = [line for block in code for line in block.splitlines()]
    lines += re.findall(r'^ {4}(.*)$', re.sub(r'^```.*?^```', '', text, flags=re.S | re.M), re.M)
    lines = [re.sub(r'^.* -m (?=ldwsccd )', '', line.strip()) for line in lines]
    return [line for line in lines if line.startswith('ldwsccd ')]


FOUND = [(page, command) for page in PAGES for command in commands(page)]


def test_there_are_some() -> None:
    pages = {page.relative_to(ROOT).as_posix() for page, _ in FOUND}
    assert {'README.md', 'docs/predict.md'} <= pages


@pytest.mark.parametrize(
    ('page', 'command'), FOUND, ids=[f'{page.stem}-{command[8:48]}' for page, command in FOUND]
)
def test_its_arguments_are_read(page: Path, command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    name = ' '.join(words[: 1 + isinstance(COMMANDS[words[0]], dict)])
    parse_args(name, words[len(name.split()) :])  # argparse leaves by SystemExit where it does not
