"""A page of docs/ whose configs and commands are tested as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from tests.commands import run_door

ROOT = Path(__file__).resolve().parents[2]


class Page:
    """Text, code blocks and commands of ``docs/<name>.md``."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / 'docs' / f'{name}.md').read_text(encoding='utf-8')

    def blocks(self, language: str) -> list[str]:
        return re.findall(rf'^```{language}\n(.*?)^```', self.text, re.DOTALL | re.MULTILINE)

    @property
    def files(self) -> dict[str, str]:
        """Blocks that begin with the name of a file."""
        named = (re.match(r'# (configs/\S+\.py)\n', block) for block in self.blocks('python'))
        return {found[1]: found.string for found in named if found}

    @property
    def snippets(self) -> list[str]:
        """The other Python blocks."""
        return [block for block in self.blocks('python') if not block.startswith('# configs/')]

    @property
    def commands(self) -> list[list[str]]:
        return [
            shlex.split(line)
            for block in self.blocks('bash')
            for line in block.replace('\\\n', ' ').splitlines()
        ]

    def write_files(self, folder: Path) -> None:
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding='utf-8')

    def check_links(self) -> None:
        """Whatever the page names is there."""
        for link in re.findall(r'\]\(([\w/.]+)', self.text):
            assert (ROOT / 'docs' / link).is_file(), link
        for name in re.findall(r'`((?:configs|tools|tests)/[\w./-]+\.py)`', self.text):
            is_example = 'my_' in name
            assert is_example or name in self.files or (ROOT / name).is_file(), name


def run_tool(command: list[str]) -> int:
    """Run ``python tools/....py FLAGS`` in this process; trainings have one epoch."""
    flags = command[2:]
    if command[1] == 'tools/train.py':
        flags = [flag for flag in flags if not flag.startswith('train_cfg.max_epochs=')]
        if flags[-1] == '--cfg-options':
            flags.pop()
    for flag in map(Path, flags):
        if flag.suffix == '.pth' and not flag.exists():  # a later epoch of the full training
            shutil.copy(flag.parent / 'epoch_1.pth', flag)
    return run_door(command[1], *flags)
