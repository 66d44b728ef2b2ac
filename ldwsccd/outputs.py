"""Where a command writes: looked at before the work whose results are to stand there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile

__all__ = ['FILES', 'FOLDERS', 'OutputError', 'check_outputs']

#: Arguments that name a file to write, by command.
FILES: dict[str, tuple[str, ...]] = {
    'anchors': ('csv',),
    'audit': ('csv',),
    'browse-pseudo-boxes': ('json',),
    'convert points': ('out',),
    'convert yolo': ('out',),
    'darknet': ('out',),
    'demo': ('picture',),
    'doctor': ('json',),
    'export': ('out',),
    'half-the-boxes': ('results',),
    'hide': ('out',),
    'mine': ('out',),
    'publish': ('out',),
    'recall': ('csv', 'save'),
    'report': ('out', 'csv'),
    'svm': ('out',),
    'test': ('out',),
    'vgg': ('out',),
    'weaken': ('out',),
}
#: Arguments that name a folder to write into, by command.
FOLDERS: dict[str, tuple[str, ...]] = {
    'browse': ('out',),
    'browse-distillation': ('out',),
    'browse-pseudo-boxes': ('out_dir',),
    'compare': ('out',),
    'compose': ('out',),
    'convert ccd': ('out',),
    'convert to-yolo': ('out',),
    'convert voc': ('out',),
    'demo': ('out',),
    'doctor': ('pictures',),
    'draw': ('out',),
    'find-missing': ('out',),
    'half-the-boxes': ('out',),
    'new': ('data', 'configs'),
    'predict': ('out',),
    'test': ('work_dir', 'show_dir'),
    'train': ('work_dir',),
}


class OutputError(ValueError):
    """Nothing can be written there; the message names the argument and the place."""

    exit_code = 2


def check_outputs(args: argparse.Namespace) -> None:
    """Check all places that a command line names for results.

    Args:
        args: The arguments; ``command_name`` is that of the command.

    Raises:
        OutputError: A folder stands where a file is due, or the reverse, or nothing can be written.
    """
    for flag, path, folder in _outputs(args):
        if path.is_dir() and not folder:
            raise OutputError(f"{flag}: '{path}' is a folder: name a file in it")
        if folder and os.path.lexists(path) and not path.is_dir():
            raise OutputError(f"{flag}: '{path}' is no folder: name another, or take it away")
        reason = _why_not(path)
        if reason is not None:
            raise OutputError(f"{flag}: '{path}' can't be written ({reason}): name another place")


def _outputs(args: argparse.Namespace) -> Iterator[tuple[str, Path, bool]]:
    """Yield the argument as it is written, its path, and whether that is a folder."""
    name = getattr(args, 'command_name', '')
    for table, folder in ((FILES, False), (FOLDERS, True)):
        for key in table.get(name, ()):
            path = getattr(args, key, None)
            within = key == 'show_dir' and path and not os.path.isabs(path)  # the work directory
            if path is None or within:
                continue
            plain = name in ('darknet', 'vgg')  # whose out has no dashes
            flag = key if plain else f'--{key.replace("_", "-")}'
            yield flag, Path(path).expanduser(), folder or bool(getattr(args, 'tiles', None))


def _why_not(path: Path) -> str | None:
    """Say why nothing can be written at a path; None if something can. Nothing is left there."""
    place = path if path.is_dir() else path.parent
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"'{place}' is no folder"
    try:
        with TemporaryFile(dir=place):
            return None
    except OSError as error:
        return f"'{place}': {error.strerror}"
