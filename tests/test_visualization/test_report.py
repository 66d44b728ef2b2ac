import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from ldwsccd_mmdet.evaluation import Detections, average_precision
from ldwsccd_mmdet.visualization import ModelResult, Report, choose_fields, write_report

CLASSES = ('ascus', 'hsil', '<b>flora')


def annotated(labels_by_image):
    coco = COCO()
    coco.dataset = {
        'images': [
            {'id': i, 'file_name': f'{i}.png', 'width': 128, 'height': 128}
            for i in labels_by_image
        ],
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
        'annotations': [
            {
                'id': 100 * image_id + k,
                'image_id': image_id,
                'category_id': label + 1,
                'bbox': [40 * k, 30, 30, 25],
                'area': 750,
                'iscrowd': 0,
            }
            for image_id, labels in labels_by_image.items()
            for k, label in enumerate(labels, start=1)
        ],
    }
    coco.createIndex()
    return coco


@pytest.fixture
def report(tmp_path):
    truth = annotated({1: [0, 1], 2: [2], 3: []})
    rng = np.random.default_rng(0)
    for image_id in truth.imgs:
        noise = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f'{image_id}.png')
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    good = {
        1: Detections(
            np.array([[40.0, 30, 70, 55], [80, 30, 110, 55], [0, 0, 9, 9]]),
            np.array([0.9, 0.8, 0.1]),
            np.array([0, 0, 1]),
        ),
        2: empty,
        3: empty,
    }
    models = [
        ModelResult(
            'SSD', 'baseline', average_precision(truth, dict.fromkeys((1, 2, 3), empty)),
            dict.fromkeys((1, 2, 3), empty),
        ),
        ModelResult(
            'LD-WSCCD', 'student <i>', average_precision(truth, good), good,
            log=[{'step': 1, 'loss': 1.0}, {'step': 2, 'loss': 0.5}],
            config="model = dict(type='LDWSCCD')  # a < b", seconds=125.2,
        ),
    ]
    return Report(
        title='Demo & test', truth=truth, image_dir=tmp_path, models=models, baseline='SSD',
        facts={'Label faults': {'boxes left out': '30 %'}}, stages=[('draw smears', 3.0)],
        commands=['make demo'],
    )  # fmt: skip


class Page(HTMLParser):
    """Collects what the page refers to, and checks that its tags close."""

    void = frozenset({'meta', 'img', 'br', 'link', 'input', 'hr'})

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.text, self.tags, self.ids = [], [], '', [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in self.void:
            self.open.append(tag)
        for name, value in attrs:
            if name in ('href', 'src', 'xlink:href', 'action', 'data'):
                self.links.append(value)
            if name == 'id':
                self.ids.add(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.void:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.text += ' '

    def handle_data(self, data):
        self.text += data


def test_page_is_whole_and_self_contained(report, tmp_path):
    path = write_report(report, tmp_path / 'new' / 'index.html')
    text = path.read_text(encoding='utf-8')
    page = Page(text)
    assert page.open == []
    assert all(link.startswith(('data:', '#')) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith('#')} <= page.ids
    assert not re.search(r'url\(|@import|<script|<link', text)
    # each image of the gallery is embedded once
    assert text.count('data:image/jpeg;base64,') == 3
    assert text.count('data:image/svg+xml;base64,') == 1
    assert not list(path.parent.glob('*.part'))


def test_names_are_escaped(report, tmp_path):
    page = Page(write_report(report, tmp_path / 'index.html').read_text(encoding='utf-8'))
    assert 'b' not in page.tags
    assert 'i' not in page.tags
    assert '<b>flora' in page.text
    assert 'a < b' in page.text


def test_numbers(report, tmp_path):
    text = Page(write_report(report, tmp_path / 'index.html').read_text(encoding='utf-8')).text
    words = ' '.join(text.split())
    # LD-WSCCD finds the only ascus; the second ascus is a hsil, so AP50 is 1 of 3 classes
    assert 'LD-WSCCD student <i> 33.3 +33.3 2 min 05 s' in words
    assert 'SSD baseline 0.0 \N{EN DASH} \N{EN DASH}' in words
    assert 'found 1 of 2, 1 not right' in words
    assert 'ascus 0.90' in words
    assert 'hsil 0.10' not in words  # below score_thr
    assert 'Label faults boxes left out 30 %' in words


def test_marks(report, tmp_path):
    text = write_report(replace(report, num_fields=1), tmp_path / 'index.html').read_text()
    panels = text.split('<figure>')[1:]
    assert len(panels) == 3
    dashes = [panel.count('stroke-dasharray') for panel in panels]
    # SSD: two missed truths; LD-WSCCD: one missed truth, and one wrong box of two lines
    assert dashes == [0, 2, 3]


def test_chosen_fields_show_every_class():
    truth = annotated({1: [1], 2: [1], 3: [1, 1, 1], 4: [0, 1], 5: [2], 6: []})
    assert choose_fields(truth, 2) == [5, 4] or choose_fields(truth, 2) == [4, 5]
    assert sorted(choose_fields(truth, 99)) == [1, 2, 3, 4, 5, 6]


def test_wrong_baseline(report, tmp_path):
    with pytest.raises(ValueError, match="baseline must be one of .*found 'RetinaNet'"):
        write_report(replace(report, baseline='RetinaNet'), tmp_path / 'index.html')


def test_no_model(report, tmp_path):
    with pytest.raises(ValueError, match='no model'):
        write_report(replace(report, models=[]), tmp_path / 'index.html')


def test_missing_image(report, tmp_path):
    (tmp_path / '2.png').unlink()
    with pytest.raises(FileNotFoundError, match='2.png'):
        write_report(report, tmp_path / 'index.html')
    assert not (tmp_path / 'index.html').exists()
