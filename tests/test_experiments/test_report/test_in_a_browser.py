"""A page of five models on the paper's eleven classes: nothing is cut on a phone or on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.experiments.report import ModelResult, Report, Run, write_report
from ldwsccd_mmdet.experiments.report.costs import Cost
from ldwsccd_mmdet.preparation.synthetic import CLASSES
from tests.test_experiments.test_report.browser import Browser, find_browser

NAMES = ('SSD', 'SSD+LDM', 'SSD+MIL', 'LD-WSCCD', 'a-detector-of-another-tool_v8-large')
PHONE, PAPER = 390, 964  # pixels; Letter across, less 12 mm at each side: A4 is wider

# opened: what a reader may open. Cut: beyond the edge, or in a box that would have to be moved.
CUT = """(() => {
  document.querySelectorAll('details').forEach(part => { part.open = true; });
  const edge = document.documentElement.clientWidth + 1;
  return [...document.querySelectorAll('body *')].filter(part => {
    const box = part.getBoundingClientRect();
    if (!box.width || !box.height || part.ownerSVGElement) return false;
    const moves = getComputedStyle(part).overflowX !== 'visible';
    return box.right > edge || box.left < -1 || (moves && part.scrollWidth > part.clientWidth + 1);
  }).slice(0, 5).map(part => part.outerHTML.slice(0, 150));
})()"""


@pytest.fixture(scope='module')
def page(tmp_path_factory, noise_images, detections, measured) -> Path:
    """Five models, each of them with a box on every image, right or wrong."""
    images = tmp_path_factory.mktemp('images')
    ids = list(range(1, len(CLASSES) + 1))
    truth = index_truth(
        {
            'images': [
                {'id': i, 'file_name': f'{i}.png', 'width': 128, 'height': 128} for i in ids
            ],
            'categories': [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)],
            'annotations': [
                {'id': i, 'image_id': i, 'category_id': i, 'bbox': [5, 30, 30, 25], 'area': 750}
                for i in ids
            ],
        },
        'test',
    )
    noise_images(images, truth.imgs)
    rng = np.random.default_rng(0)
    models = []
    for number, name in enumerate(NAMES):
        found = {
            i: detections((5, 30, 35, 55, rng.uniform(0.3, 1), rng.choice([i - 1, i % len(ids)])))
            for i in ids
        }
        config = f"model = dict(type='LDWSCCD', width={number})\nlr = 0.{number + 1}\n"
        log = [{'step': 1, 'loss': 1.0 + number}, {'step': 2, 'loss': 0.5}]
        run = Run(measured(truth, found, score_thr=0.3), found, 0, log, config, 125.2)
        cost = Cost(parameters=24.5, latency=123.4, gflops=90.1)
        models.append(ModelResult(name, 'student', [run], cost=cost))
    report = Report(
        title='Five models on eleven classes',
        truth=truth,
        image_dir=images,
        models=models,
        baseline='SSD',
        num_fields=2,
        num_errors=2,
        commands=['ldwsccd compare configs/ldwsccd/*_ccd.py --seeds 0 1 2 --amp ' + 9 * '--x=y '],
    )
    return write_report(report, tmp_path_factory.mktemp('page') / 'index.html')


@pytest.fixture(scope='module')
def browser() -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip('no Chromium on this machine')
    with Browser(program) as started:
        yield started


@pytest.mark.parametrize(
    ('width', 'media'), [(PHONE, 'screen'), (1300, 'screen'), (PAPER, 'print')]
)
def test_nothing_is_cut(page: Path, browser: Browser, width: int, media: str) -> None:
    browser.open(page, width, media)
    assert browser.evaluate(CUT) == []


def test_every_confusion_matrix_is_printed_whole(page: Path, browser: Browser) -> None:
    """The last column, "missed", of each model."""
    browser.open(page, PAPER, 'print')
    edges = browser.evaluate(
        "[...document.querySelectorAll('.matrix')].map(table => {"
        "  const last = [...table.querySelectorAll('thead th')].at(-1);"
        '  return [last.textContent, last.getBoundingClientRect().right]; })'
    )
    assert [name for name, _ in edges] == ['missed'] * len(NAMES)
    assert all(right <= PAPER for _, right in edges)
