"""Names above the panels stay inside the figure, whatever they are called."""

from __future__ import annotations

import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ldwsccd_mmdet.experiments.report.figure_style import SVG_SETTINGS, line_styles, name_lines


@pytest.mark.parametrize('width', [4.6, 6.2, 11.1])
@pytest.mark.parametrize('name', ['SSD', 'a-detector-of-another-tool_v8-large', 'W' * 30, 70 * 'x'])
def test_names_stay_inside_the_figure(width: float, name: str) -> None:
    names = ['SSD', 'SSD+LDM', 'SSD+MIL', 'LD-WSCCD', name]
    with rc_context(SVG_SETTINGS):
        figure = Figure(figsize=(width, 3.9), layout='constrained')
        canvas = FigureCanvasAgg(figure)
        figure.subplots()
        handles = [Line2D([], [], lw=1.4, ms=4.5, **style) for style in line_styles(len(names))]
        name_lines(figure, handles, names)
        canvas.draw()
        box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width
    assert len(figure.legends[0].get_texts()) == len(names)
