import base64
import csv
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from ldwsccd_mmdet.errors import DatasetError
from ldwsccd_mmdet.experiments.report import ModelResult, Report, Run, choose_fields, write_report
from ldwsccd_mmdet.experiments.report.costs import Cost


@pytest.fixture(scope='module')
def report(tmp_path_factory, annotated, detections, noise_images, measured):
    truth = annotated({1: [0, 1], 2: [2], 3: []})
    images = tmp_path_factory.mktemp('images')
    noise_images(images, truth.imgs)
    # hits ascus; a second box on it; takes the hsil for ascus; misses flora; one on nothing
    good = {
        1: detections((5, 30, 35, 55, 0.9, 0), (6, 30, 35, 55, 0.6, 0), (45, 30, 75, 55, 0.8, 0)),
        2: detections((45, 30, 60, 50, 0.7, 2), (0, 90, 30, 99, 0.1, 2)),
        3: detections(),
    }
    none = dict.fromkeys((1, 2, 3), detections())
    log = [{'step': 1, 'loss': 1.0, 'loss_mil': 0.4}, {'step': 2, 'loss': 0.5, 'loss_mil': 0.2}]
    plain = "model = dict(type='LDWSCCD', mil_head=None)\nlr = 0.1  # a < b\n"
    full = "model = dict(type='LDWSCCD', mil_head=dict(type='MIL', k=3))\nlr = 0.2\n"
    models = [
        ModelResult('SSD', 'baseline', [Run(measured(truth, none), none, 0, config=plain)]),
        ModelResult(
            'LD-WSCCD',
            'student <i>',
            [
                Run(
                    measured(truth, good, score_thr=0.3),
                    good,
                    0,
                    log,
                    full,
                    125.2,
                    {'Python': '3.11'},
                    ['train it'],
                )
            ],
        ),
    ]
    return Report(
        title='Demo & test',
        truth=truth,
        image_dir=images,
        models=models,
        baseline='SSD',
        facts={'Label faults': {'boxes left out': '30 %'}},
        stages=[('draw smears', 3.0)],
        commands=['make demo'],
    )


@pytest.fixture(scope='module')
def page(report, tmp_path_factory):
    return write_report(report, tmp_path_factory.mktemp('page') / 'new' / 'index.html')


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


def words_of(path):
    return ' '.join(Page(path.read_text(encoding='utf-8')).text.split())


def test_page_is_whole_and_self_contained(page):
    text = page.read_text(encoding='utf-8')
    parsed = Page(text)
    assert parsed.open == []
    assert all(link.startswith(('data:', '#')) for link in parsed.links)
    assert {link[1:] for link in parsed.links if link.startswith('#')} <= parsed.ids
    assert not re.search(r'url\(|@import|<link|https?:(?!//www.w3.org)', text)
    # the browser runs the one script whose hash the page names
    (script,) = re.findall('<script>(.*?)</script>', text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in text
    # 3 fields once each; crops: 3 missed of SSD, and wrong class, duplicate and poor box; the truth
    # of the poor box is missed
    assert text.count('data:image/jpeg;base64,') == 3 + 3 + 4
    # precision over recall, FROC, calibration, ROC, losses
    assert text.count('data:image/svg+xml;base64,') == 5
    assert not list(page.parent.glob('*.part'))


def test_names_are_escaped(page):
    parsed = Page(page.read_text(encoding='utf-8'))
    assert 'b' not in parsed.tags
    assert 'i' not in parsed.tags
    assert '<b>flora' in parsed.text
    assert 'a < b' in parsed.text


def test_numbers(page):
    words = words_of(page)
    # LD-WSCCD finds the only ascus, so AP50 is 1 of 3 classes
    assert 'LD-WSCCD student <i> 0 33.3' in words
    assert '+33.3' in words
    assert 'SSD baseline 0 0.0' in words
    assert '2 min 05 s' in words
    assert '1 right, 1 wrong class, 1 duplicate' in words
    assert 'Wrong class (1)' in words
    assert 'truth: hsil; detected: ascus 0.80; IoU 1.00' in words
    assert 'Label faults boxes left out 30 %' in words
    assert 'make demo train it' in words
    # configs: what differs, and of the part that one lacks only its type
    assert 'lr 0.1 0.2' in words
    assert 'model.mil_head.type \N{EN DASH} MIL' in words
    assert 'mil_head.k' not in words


def test_tables_beside_the_page(page):
    folder = page.with_name('index_tables')
    rows = list(csv.DictReader((folder / 'models.csv').open(encoding='utf-8')))
    assert [row['Model'] for row in rows] == ['SSD', 'LD-WSCCD']
    assert float(rows[1]['mAP@50, %']) == pytest.approx(1 / 3, abs=1e-5)
    assert float(rows[1]['Gain over SSD']) == pytest.approx(1 / 3, abs=1e-5)
    assert rows[0]['Gain over SSD'] == ''
    assert 0 <= float(rows[1]['mAP@50, % low']) <= float(rows[1]['mAP@50, % high']) <= 1
    rows = list(csv.reader((folder / 'confusion-2.csv').open(encoding='utf-8')))
    assert rows[0] == ['truth \\ LD-WSCCD', 'ascus', 'hsil', '<b>flora', 'missed']
    assert rows[2][:2] == ['hsil', '1']
    names = {path.name for path in folder.iterdir()}
    assert {'classes.csv', 'classes-1.csv', 'operating.csv', 'errors.csv', 'sizes.csv'} < names
    rows = list(csv.DictReader((folder / 'sizes.csv').open(encoding='utf-8')))
    assert [row['Truths'] for row in rows] == ['3', '0', '0']
    # image 1 and 2 have a cell and 3 has none; its best detection of LD-WSCCD is right
    rows = list(csv.DictReader((folder / 'images.csv').open(encoding='utf-8')))
    assert [row['AUC, %'] for row in rows] == ['0.5', '1']
    assert rows[1]['Recall, %'] == rows[1]['Specificity, %'] == '1'
    rows = list(csv.DictReader((folder / 'overlap.csv').open(encoding='utf-8')))
    assert [row['Truths'] for row in rows] == ['0', '3', '0', '3']
    assert [row['LD-WSCCD, %'][:4] for row in rows] == ['', '0.33', '', '0.33']
    text = page.with_suffix('.md').read_text(encoding='utf-8')
    assert '# Demo & test' in text
    assert re.search(r'\| LD-WSCCD \| student &lt;i&gt; \| 0 \| 33\.3 \(', text)


def test_seeds_become_mean_and_spread(report, detections, measured, tmp_path):
    truth = report.truth
    half = {
        1: detections((5, 30, 35, 55, 0.9, 0), (45, 30, 75, 55, 0.9, 1)),
        2: detections(),
        3: detections(),
    }
    first = report.models[1].runs[0]
    other = Run(measured(truth, half, score_thr=0.3), half, 1, first.log, seconds=60)
    base = report.models[0].runs[0]
    models = [
        replace(report.models[0], runs=[base, replace(base, seed=1)]),
        replace(report.models[1], runs=[first, other]),
    ]
    words = words_of(write_report(replace(report, models=models), tmp_path / 'index.html'))
    # 1/3 and 2/3
    assert 'LD-WSCCD student <i> 0, 1 50.0 ± 23.6' in words
    assert '+50.0 ± 23.6' in words
    assert '± is the standard deviation over the seeds' in words
    assert 'summed over seeds' in words
    assert 'Config of LD-WSCCD, seed 0' in words


def test_teacher_against_student(report, tmp_path):
    taught = replace(report, teacher='SSD', baseline=None)
    words = words_of(write_report(taught, tmp_path / 'index.html'))
    assert 'Class SSD, % LD-WSCCD minus teacher ascus 0.0 +100.0' in words
    assert 'Gain over' not in words


def test_no_pictures(report, tmp_path):
    text = write_report(replace(report, image_dir=None), tmp_path / 'index.html').read_text()
    assert 'data:image/jpeg' not in text
    assert 'id="detections"' not in text


def test_marks(report, tmp_path):
    one = replace(report, num_fields=1, num_errors=0)
    text = write_report(one, tmp_path / 'index.html').read_text()
    panels = text.split('<figure class="panel">')[1:]
    assert len(panels) == 3
    hidden = re.compile('<g class="[a-z]+ off".*?</g>', re.DOTALL)
    shown = [hidden.sub('', panel.split('</figure>')[0]) for panel in panels]
    dashes = [panel.count('stroke-dasharray') for panel in shown]
    # the rarest class first: image 1. SSD: two missed truths; LD-WSCCD: two wrong boxes, two lines
    assert dashes == [0, 2, 4]


def test_slider_draws_what_lies_below_the_operating_point(report, tmp_path):
    two = replace(report, num_fields=2, num_errors=0)
    text = write_report(two, tmp_path / 'index.html').read_text()
    # LD-WSCCD on image 2: a box of 0.7, and one of 0.1 below the score 0.3
    assert text.count('<g class="box" data-score="0.7">') == 1
    assert text.count('<g class="box off" data-score="0.1" data-low>') == 1
    # its two truths of image 1: one is met at 0.9, one by a box of the wrong class at 0.8
    assert text.count('<g class="missed off" data-found="0.9" data-low>') == 1
    assert text.count('<g class="missed off" data-found="0.8" data-low>') == 1
    # never met: both of SSD on image 1, and the flora of both models on image 2
    assert text.count('<g class="missed" data-found="-1.0">') == 4


def test_costs(report, tmp_path):
    assert 'Latency' not in words_of(write_report(report, tmp_path / 'index.html'))
    known = replace(report.models[1], cost=Cost(parameters=1.5, latency=23.4))
    costly = replace(report, models=[report.models[0], known])
    page = write_report(costly, tmp_path / 'costs.html')
    words = words_of(page)
    assert 'Parameters, M Latency, ms' in words and 'GFLOPs' not in words
    assert '1.50 23.4' in words and 'Accuracy over cost' in words
    assert page.read_text().count('data:image/svg+xml;base64,') == 6


def test_chosen_fields_show_every_class(annotated):
    truth = annotated({1: [1], 2: [1], 3: [1, 1, 1], 4: [0, 1], 5: [2], 6: []})
    assert set(choose_fields(truth, 2)) == {5, 4}
    assert sorted(choose_fields(truth, 99)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize('key', ['baseline', 'teacher'])
def test_wrong_name(report, tmp_path, key):
    with pytest.raises(ValueError, match=f"{key} must be one of .*found 'RetinaNet'"):
        write_report(replace(report, **{key: 'RetinaNet'}), tmp_path / 'index.html')


def test_no_model(report, tmp_path):
    with pytest.raises(ValueError, match='no model'):
        write_report(replace(report, models=[]), tmp_path / 'index.html')


def test_missing_image(report, tmp_path):
    with pytest.raises(DatasetError, match="png' of the annotation file cannot be read"):
        write_report(replace(report, image_dir=tmp_path), tmp_path / 'index.html')
    assert not (tmp_path / 'index.html').exists()


def test_in_a_browser(page, tmp_path):
    """Headless Chromium draws the page, every picture in it, and has nothing to complain of."""
    names = ('chromium', 'chromium-browser', 'google-chrome')
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip('no Chromium on this machine')
    picture = tmp_path / 'page.png'
    done = subprocess.run(
        [
            browser,
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--disable-quic',
            '--no-first-run',
            '--disable-background-networking',
            '--disable-component-update',
            '--disable-sync',
            f'--user-data-dir={tmp_path / "profile"}',
            '--enable-logging=stderr',
            '--hide-scrollbars',
            '--window-size=1300,9000',
            f'--screenshot={picture}',
            page.resolve().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
    )
    said = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    assert said == []
    with Image.open(picture) as drawn:
        image = drawn.convert('RGB')
    assert image.size == (1300, 9000)
    # the noise of the fields is drawn: thousands of colours
    assert len(set(image.resize((325, 2250), Image.Resampling.NEAREST).get_flattened_data())) > 2000


def test_template_is_in_the_package():
    folder = Path(write_report.__code__.co_filename).parent / 'templates'
    assert (folder / 'report.html').is_file()
