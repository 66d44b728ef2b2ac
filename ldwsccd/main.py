"""Find the command, read its arguments, and run it."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import ModuleType

from .commands import COMMANDS, Command
from .parent import end_with_parent
from .tool import run_tool

__all__ = ['main', 'parse_args', 'run_command']


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``ldwsccd COMMAND ...``.

    Args:
        argv: The words after ``ldwsccd``; None: those of the process.

    Returns:
        The exit code.
    """
    name, arguments = _choose(COMMANDS, sys.argv[1:] if argv is None else argv, 'ldwsccd')
    return run_command(name, arguments, prog=f'ldwsccd {name}')


def run_command(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run one command, as the files in ``tools/`` do.

    Args:
        name: The command, such as ``'train'`` or ``'convert voc'``.
        argv: Its arguments; None: those of the process.
        prog: What its help calls it; None: the name of the script.

    Returns:
        The exit code.
    """
    end_with_parent()
    args = parse_args(name, argv, prog)
    return run_tool(command_module(name).main, args)


def parse_args(
    name: str, argv: Sequence[str] | None = None, prog: str | None = None
) -> argparse.Namespace:
    """Read the arguments of a command, see :func:`run_command`."""
    module = command_module(name)
    parser = argparse.ArgumentParser(
        prog=prog,
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(
        '--traceback', action='store_true', help='show where in the code an error came from'
    )
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    args.command_name = name
    args.command_line = shlex.join(['ldwsccd', *name.split(), *words])
    if hasattr(module, 'check'):
        module.check(args, parser)
    return args


def command_module(name: str) -> ModuleType:
    """Import the module of a command."""
    table: object = COMMANDS
    for word in name.split():
        assert isinstance(table, Mapping)
        table = table[word]
    assert isinstance(table, Command)
    return import_module(f'{__package__}.{table.module}')


def _choose(
    table: Mapping[str, object], argv: Sequence[str], prog: str
) -> tuple[str, Sequence[str]]:
    """Read the name of the command; returns it and the arguments that are left."""
    width = max(map(len, table)) + 2
    lines = [f'  {name:{width}}{_help_of(entry)}' for name, entry in table.items()]
    parser = argparse.ArgumentParser(
        prog=prog,
        description=_DESCRIPTION if table is COMMANDS else None,
        epilog='\n'.join(['commands:', *lines, '', f'{prog} COMMAND --help says more.']),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f'{prog} [--help] COMMAND ...',
    )
    if table is COMMANDS:
        parser.add_argument('--version', action=_Version, nargs=0, help='say which version this is')
    parser.add_argument('command', choices=list(table), metavar='COMMAND', help='see below')
    parser.add_argument('arguments', nargs=argparse.REMAINDER, help='its arguments')
    args = parser.parse_args(argv)
    chosen = table[args.command]
    if isinstance(chosen, Mapping):
        name, rest = _choose(chosen, args.arguments, f'{prog} {args.command}')
        return f'{args.command} {name}', rest
    return args.command, args.arguments


_DESCRIPTION = 'LD-WSCCD for MMDetection: cell detectors from noisy, incomplete or image labels.'


def _help_of(entry: object) -> str:
    if isinstance(entry, Command):
        return entry.help
    assert isinstance(entry, Mapping)
    return f'another format: {", ".join(entry)}'


class _Version(argparse.Action):
    """Prints the version; what knows it is only loaded when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f'ldwsccd_mmdet {version("ldwsccd_mmdet")}')
        except PackageNotFoundError:  # a source tree on the PYTHONPATH
            print('ldwsccd_mmdet, not installed as a package')
        parser.exit()
