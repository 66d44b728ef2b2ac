"""Lines of several models that stay apart in print and for the colour-blind."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.figure import Figure

__all__ = ['SVG_SETTINGS', 'line_styles', 'name_lines', 'save_svg']

#: A fixed salt, and no date below: the same results give the same file.
SVG_SETTINGS: dict[Any, Any] = {
    'svg.hashsalt': 'ldwsccd',
    'font.size': 9,
    'axes.spines.top': False,
    'axes.spines.right': False,
}

# Okabe and Ito's colours; dash patterns tell the models apart where colours do not
_STYLES = (
    ('#0072B2', '-', 'o'),
    ('#D55E00', '--', 's'),
    ('#009E73', '-.', '^'),
    ('#CC79A7', ':', 'D'),
    ('#000000', (0, (5, 1)), 'v'),
    ('#E69F00', (0, (3, 1, 1, 1, 1, 1)), 'P'),
    ('#56B4E9', (0, (1, 1)), 'X'),
)


def line_styles(number: int) -> list[dict]:
    """Return colour, dash pattern and marker of each of several lines, for matplotlib.

    Args:
        number: Number of lines; after seven they repeat.
    """
    chosen = (_STYLES[i % len(_STYLES)] for i in range(number))
    return [dict(color=color, ls=dashes, marker=marker) for color, dashes, marker in chosen]


def save_svg(figure: Figure) -> str:
    """Write a figure as SVG text; draw it under :data:`SVG_SETTINGS`."""
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None})
    return buffer.getvalue()


def name_lines(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], columns: int = 6
) -> None:
    """Name lines above the panels, as many in a row as the figure has room for.

    Args:
        figure: The figure.
        handles: What shows each line's style.
        names: Its name; a very long one is broken.
        columns: How many stand in a row at most.
    """
    names = [textwrap.fill(name, 40) for name in names]
    letters = max(len(line) for name in names for line in name.splitlines())
    # in ems: the line, the gap behind it, letters of 0.6 each, and the gap to the next column
    width = (3.2 + 0.8 + 0.6 * letters + 2) * SVG_SETTINGS['font.size'] / 72
    fitting = max(1, int(figure.get_figwidth() / width))
    figure.legend(
        handles,
        names,
        loc='outside upper center',
        ncols=min(columns, fitting, len(names)),
        frameon=False,
        handlelength=3.2,
    )
