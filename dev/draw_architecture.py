"""Draw the model after Fig. 1 of the paper, as plain SVG: docs/images/architecture.svg.

    python dev/draw_architecture.py [--out FILE.svg]

Blue is what a plain SSD has and a test runs, orange the distillation, green the MIL head; what
exists in training only has a dashed border.
"""

import argparse
import random
import re
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / 'docs' / 'images' / 'architecture.svg'
WIDTH, HEIGHT = 1280, 680

# fill and line of each part
BLUE = ('#e8f0fb', '#2b62a8')
GREY = ('#f1f1f3', '#767b85')
ORANGE = ('#fdf0e0', '#c46a10')
GREEN = ('#e8f5ea', '#2f7d3b')
RED = ('#fdeaea', '#b3372f')
INK, PALE = '#1f2430', '#5b6270'
Colours = tuple[str, str]


class Drawing:
    """SVG elements, drawn one over the other."""

    def __init__(self) -> None:
        self.elements: list[str] = []

    def add(self, element: str) -> None:
        self.elements.append(element)

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colours: Colours,
        dashed: bool = False,
        radius: float = 10,
    ) -> None:
        """A rounded box; dashed where it exists in training only."""
        fill, line = colours
        dash = ' stroke-dasharray="7 4"' if dashed else ''
        self.add(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="{radius}" '
            f'fill="{fill}" stroke="{line}" stroke-width="1.6"{dash}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 14,
        colour: str = INK,
        anchor: str = 'middle',
        style: str = '',
    ) -> None:
        """A line of text. A_b and A^b make b an index; **bold** is bold from end to end."""
        if '_' in words or '^' in words:  # not every program centres a line with indices
            x -= {'start': 0, 'middle': 0.5, 'end': 1}[anchor] * estimated_width(words, size)
            anchor = 'start'
        weight = ''
        if words.startswith('**'):
            words, weight = words.strip('*'), ' font-weight="700"'
        self.add(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
            f'{weight}{style}>{with_indices(words, size)}</text>'
        )

    def lines(self, x: float, y: float, words: Sequence[str], size: float = 13) -> None:
        """A heading and what stands below it."""
        self.text(x, y, f'**{words[0]}**', size + 2)
        for i, line in enumerate(words[1:], start=1):
            self.text(x, y + 5 + 18 * i, line, size, PALE)

    def arrow(
        self, points: Sequence[tuple[float, float]], colour: str, dashed: bool = False
    ) -> None:
        """A line through the points with a head at its end; corners are round."""
        radius = 10.0
        path = f'M {points[0][0]} {points[0][1]}'
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            first, last = (towards(corner, end, radius) for end in (before, after))
            path += f' L {first[0]} {first[1]} Q {corner[0]} {corner[1]} {last[0]} {last[1]}'
        path += f' L {points[-1][0]} {points[-1][1]}'
        dash = ' stroke-dasharray="7 4"' if dashed else ''
        self.add(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash} '
            f'marker-end="url(#head{colour[1:]})"/>'
        )

    def maps(self, x: float, y: float, colours: Colours, dashed: bool = False) -> None:
        """A pyramid of feature maps around the height y, the finest first."""
        fill, line = colours
        dash = ' stroke-dasharray="5 3"' if dashed else ''
        for i, side in enumerate((92, 70, 52, 38, 27)):
            left, slant = x + 31 * i, 0.28 * side
            top, bottom = y - side / 2, y + side / 2
            corners = (
                f'{left},{top + slant / 2} {left + slant},{top - slant / 2} '
                f'{left + slant},{bottom - slant / 2} {left},{bottom + slant / 2}'
            )
            self.add(
                f'<polygon points="{corners}" fill="{fill}" stroke="{line}" '
                f'stroke-width="1.4" stroke-linejoin="round"{dash}/>'
            )

    def svg(self) -> str:
        """The whole file."""
        heads = ''.join(
            f'<marker id="head{line[1:]}" viewBox="0 0 10 10" refX="8.5" refY="5" '
            f'markerWidth="6.5" markerHeight="6.5" orient="auto-start-reverse">'
            f'<path d="M 0 0 L 10 5 L 0 10 z" fill="{line}"/></marker>'
            for _, line in (BLUE, GREY, ORANGE, GREEN, RED)
        )
        body = '\n'.join(self.elements)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="Helvetica, Arial, sans-serif" role="img">\n'
            '<title>LD-WSCCD: student, frozen teacher, local distillation and MIL head</title>\n'
            f'<defs>{heads}</defs>\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="14" fill="#ffffff"/>\n{body}\n</svg>\n'
        )


def towards(
    start: tuple[float, float], end: tuple[float, float], length: float
) -> tuple[float, float]:
    """The point at this distance from the start, or half way if that is nearer."""
    whole = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
    part = min(length, whole / 2) / whole
    return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])


def estimated_width(words: str, size: float) -> float:
    """About the width of a line with indices, in pixels."""
    small = sum(len(part) for part in re.findall(r'[_^](\w+)', words.replace('_', ' _')))
    signs = sum(words.count(sign) for sign in '_^')
    return size * (0.58 * (len(words) - signs - small) + 0.42 * small)


def with_indices(words: str, size: float) -> str:
    """Make `_x` and `^x` small, below and above the line."""
    out, shift = '', 0.0
    parts = words.replace('_', '\0_').replace('^', '\0^').split('\0')
    out = escape(parts[0])
    for part in parts[1:]:
        end = next((i for i, c in enumerate(part[1:], 1) if not c.isalnum()), len(part))
        shift = 0.28 * size if part[0] == '_' else -0.38 * size
        index, rest = escape(part[1:end]), escape(part[end:])
        out += f'<tspan dy="{shift:.1f}" font-size="{0.72 * size:.1f}">{index}</tspan>'
        out += f'<tspan dy="{-shift:.1f}">{rest or "&#8203;"}</tspan>'
    return out


def smear(drawing: Drawing, x: float, y: float, side: float) -> None:
    """A small field with cells: two have boxes, one is mined, one was not found by anyone."""
    drawing.add(
        f'<clipPath id="field"><rect x="{x}" y="{y}" width="{side}" height="{side}" rx="8"/>'
    )
    drawing.add('</clipPath><g clip-path="url(#field)">')
    drawing.add(f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="#f6eff4"/>')
    dice = random.Random(4)
    cells = [(38, 40, 26), (98, 52, 24), (58, 106, 29), (120, 118, 20)]
    for i, (cx, cy, radius) in enumerate(cells):
        tint = ('#cfe3dc', '#ecccd6', '#c9dcea', '#e5d3e6')[i]
        drawing.add(
            f'<ellipse cx="{x + cx}" cy="{y + cy}" rx="{radius}" ry="{0.86 * radius:.1f}" '
            f'fill="{tint}" stroke="#8d7f9b" stroke-width="0.8" '
            f'transform="rotate({dice.randrange(180)} {x + cx} {y + cy})"/>'
        )
        nucleus = (0.52 if i in (0, 2) else 0.36) * radius
        drawing.add(f'<circle cx="{x + cx}" cy="{y + cy}" r="{nucleus:.1f}" fill="#55407a"/>')
    drawing.add('</g>')
    drawing.add(
        f'<rect x="{x}" y="{y}" width="{side}" height="{side}" rx="8" fill="none" '
        f'stroke="{INK}" stroke-width="1.4"/>'
    )
    for i, (cx, cy, radius) in enumerate(cells):
        size = 2 * radius + 8
        mined = i == 2  # found without a box: it is a cell with probability p
        colour, dash = (ORANGE[1], ' stroke-dasharray="5 3"') if mined else (BLUE[1], '')
        if i != 1:
            drawing.add(
                f'<rect x="{x + cx - size / 2}" y="{y + cy - size / 2}" width="{size}" '
                f'height="{size}" fill="none" stroke="{colour}" stroke-width="2.2"{dash}/>'
            )
        if mined:
            drawing.text(x + cx - size / 2 + 9, y + cy - size / 2 + 14, '**p**', 13, colour)


def network(drawing: Drawing) -> None:
    """Image, teacher, student, SSD head and what comes out."""
    smear(drawing, 30, 272, 150)
    drawing.text(105, 443, '**training image**', 14)
    drawing.text(105, 461, 'some cells have boxes;', 12.5, PALE)
    drawing.text(105, 478, 'others are mined (p)', 12.5, PALE)

    drawing.arrow([(105, 272), (105, 140), (232, 140)], GREY[1], dashed=True)
    drawing.box(238, 92, 176, 96, GREY, dashed=True)
    drawing.lines(326, 126, ['frozen teacher', 'any mmdet detector,', 'without gradients'], 12.5)
    drawing.arrow([(414, 140), (450, 140)], GREY[1], dashed=True)
    drawing.maps(458, 140, GREY, dashed=True)

    drawing.arrow([(180, 347), (232, 347)], BLUE[1])
    drawing.box(238, 299, 176, 96, BLUE)
    drawing.lines(326, 333, ['SSD student', 'VGG16 backbone', 'and extra layers'], 12.5)
    drawing.arrow([(414, 347), (450, 347)], BLUE[1])
    drawing.maps(458, 347, BLUE)
    drawing.arrow([(602, 347), (688, 347)], BLUE[1])
    drawing.box(694, 305, 196, 84, BLUE)
    drawing.lines(792, 335, ['SSD head', 'classes and boxes of', 'every prior (eq. 4)'], 12.5)
    drawing.arrow([(890, 330), (1078, 330)], BLUE[1])
    loss(drawing, 1084, 308, 'L_ssd', 'eq. 5 to 7')
    drawing.arrow([(890, 366), (962, 366), (962, 420), (1078, 420)], BLUE[1])
    drawing.box(1084, 388, 166, 84, BLUE)
    drawing.lines(1167, 416, ['detections', 'scores of both heads,', 'joined'], 12.5)


def distillation(drawing: Drawing) -> None:
    """What the teacher teaches."""
    drawing.arrow([(602, 140), (688, 140)], ORANGE[1], dashed=True)
    drawing.arrow(
        [(536, 310), (536, 248), (660, 248), (660, 180), (688, 180)], ORANGE[1], dashed=True
    )
    drawing.box(694, 70, 326, 176, ORANGE, dashed=True)
    drawing.text(857, 96, '**local distillation**', 15)
    parts = [
        ('M', 'where the boxes are', 'eq. 9'),
        ('A^S, A^C', 'where each looks', 'eq. 10, 11'),
        ('F^T − f(F^S)', 'weighed by M and A', 'eq. 12'),
        ('A^T − A^S', 'attention itself', 'eq. 13'),
    ]
    for i, (symbol, words, equation) in enumerate(parts):
        y = 112 + 32 * i
        drawing.box(706, y, 302, 27, ('#ffffff', '#e3b887'), radius=6)
        drawing.text(716, y + 18, symbol, 13, ORANGE[1], 'start', ' font-style="italic"')
        drawing.text(800, y + 18, words, 11.5, PALE, 'start')
        drawing.text(1000, y + 18, equation, 10.5, PALE, 'end')
    drawing.arrow([(1020, 158), (1078, 158)], ORANGE[1], dashed=True)
    loss(drawing, 1084, 136, 'L_dis', 'eq. 14')


def mil(drawing: Drawing) -> None:
    """The second judge of the student's regions."""
    drawing.arrow([(536, 384), (536, 560), (688, 560)], GREEN[1])
    drawing.text(528, 508, 'features', 12.5, PALE, 'end')
    drawing.arrow([(792, 389), (792, 486)], GREEN[1])
    drawing.text(800, 434, 'its best boxes', 12.5, PALE, 'start')
    drawing.text(800, 450, 'are the regions', 12.5, PALE, 'start')
    drawing.box(694, 492, 326, 148, GREEN)
    drawing.text(857, 518, '**MIL refinement head**', 15)
    parts = [
        ('softmax over classes × over regions', 'eq. 15'),
        ('K stages, each taught by the last', 'eq. 16'),
        ('given boxes are seeds where there are any', ''),
    ]
    for i, (words, equation) in enumerate(parts):
        y = 532 + 33 * i
        drawing.box(706, y, 302, 28, ('#ffffff', '#9fcaa6'), radius=6)
        drawing.text(716, y + 18.5, words, 11.5, PALE, 'start')
        drawing.text(1000, y + 18.5, equation, 10.5, PALE, 'end')
    drawing.arrow([(1020, 540), (1167, 540), (1167, 478)], GREEN[1])
    drawing.arrow([(1020, 600), (1078, 600)], GREEN[1], dashed=True)
    loss(drawing, 1084, 578, 'L_cls + L_ref', 'eq. 15, 16')


def loss(drawing: Drawing, x: float, y: float, symbol: str, equation: str) -> None:
    """A loss term."""
    drawing.box(x, y, 166, 44, RED, dashed=True, radius=22)
    drawing.text(x + 83, y + 20, symbol, 16, RED[1], style=' font-style="italic"')
    drawing.text(x + 83, y + 36, equation, 11, PALE)


def draw() -> str:
    """The picture, as the text of an SVG file."""
    drawing = Drawing()
    drawing.text(30, 40, '**LD-WSCCD**', 22, anchor='start')
    drawing.text(
        WIDTH - 30,
        40,
        'L = L_ssd + L_dis + L_cls + L_ref',
        18,
        RED[1],
        'end',
        ' font-style="italic"',
    )
    network(drawing)
    distillation(drawing)
    mil(drawing)
    drawing.box(30, 592, 34, 20, ('#ffffff', PALE), radius=5)
    drawing.text(74, 607, 'in training and at test', 12.5, PALE, 'start')
    drawing.box(30, 622, 34, 20, ('#ffffff', PALE), dashed=True, radius=5)
    drawing.text(74, 637, 'in training only', 12.5, PALE, 'start')
    return drawing.svg()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=OUT, help='(default: %(default)s)')
    args = parser.parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(draw(), encoding='utf-8')
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
