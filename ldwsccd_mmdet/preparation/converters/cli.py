"""What the command lines of the data tools share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...errors import InputError
from .class_names import ClassMap
from .coco_builder import (
    CocoBuilder,
    check_new,
    dump,
    place_images,
    write_new,
)

__all__ = ['add_class_arguments', 'add_image_mode', 'class_map', 'exit_code', 'write_set']


def exit_code(main: Callable[[], int | None]) -> int:
    """Run a tool; what the user can mend is one line on stderr and exit code 2."""
    try:
        return main() or 0
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


def add_class_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--classes`` and ``--rename``."""
    parser.add_argument(
        '--classes', nargs='+', metavar='NAME', help=f'classes, in the order of ids ({default})'
    )
    parser.add_argument(
        '--rename',
        nargs='+',
        default=[],
        metavar='OLD=NEW',
        help='classes to rename; OLD= leaves one out',
    )


def class_map(args: argparse.Namespace, default: Sequence[str] | None = None) -> ClassMap:
    """Make the map that ``--classes`` and ``--rename`` ask for."""
    wrong = [pair for pair in args.rename if '=' not in pair]
    if wrong:
        raise InputError(f'--rename {" ".join(wrong)}: expected OLD=NEW, or OLD= to leave it out')
    return ClassMap(args.classes or default, dict(p.rsplit('=', 1) for p in args.rename))


def add_image_mode(parser: argparse.ArgumentParser) -> None:
    """Add ``--image-mode``."""
    parser.add_argument(
        '--image-mode',
        choices=['symlink', 'copy', 'none'],
        default='symlink',
        help='how images get into the new folder (default: symlink)',
    )


def write_set(
    out: Path, splits: Mapping[str, tuple[CocoBuilder, Mapping[str, Path]]], image_mode: str
) -> None:
    """Write ``<split>.json`` for each split, and ``images/``, and say what is in them.

    Args:
        out: The folder; files of other names may be there already.
        splits: For each split its records, and where its images lie.
        image_mode: See :func:`place_images`.

    Raises:
        ConfigError: One of the files is there already; then nothing is written.
        DatasetError: A split has no label left; then nothing is written.
    """
    check_new(*(out / f'{split}.json' for split in splits))
    contents = {
        split: dump(builder.checked_content(split)) for split, (builder, _) in splits.items()
    }
    for split, (builder, images) in splits.items():
        place_images(images, out / 'images', image_mode)
        write_new(out / f'{split}.json', contents[split])
        print(f'{out / split}.json: {builder.summary()}')
