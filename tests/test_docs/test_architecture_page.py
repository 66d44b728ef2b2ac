"""docs/architecture.md: two jumps lead to eq. 12, its rooms and its drawing are up to date."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from dev import draw_architecture
from tests.test_docs.page import ROOT, Page

PAGE = Page('architecture')


def test_two_jumps_from_the_config_to_equation_12() -> None:
    config = (ROOT / 'configs' / 'ldwsccd_ssd512.py').read_text('utf-8')
    parts = ''.join(path.read_text('utf-8') for path in (ROOT / 'configs' / '_base_').rglob('*.py'))
    assert "type='LocalDistillationLoss'" in config + parts
    links = re.findall(r'\]\(\.\./(ldwsccd_mmdet/models/losses/\w+\.py)\)', PAGE.text)
    first, second = ((ROOT / link).read_text('utf-8') for link in links)
    assert 'class LocalDistillationLoss' in first
    assert 'LevelDistillation.apply(' in first and 'class LevelDistillation' in second
    forward = second.split('def forward(')[1].split('def backward(')[0]
    assert forward.count('# eq. 12') == 1


def test_rooms_and_files_are_there() -> None:
    rooms = re.search(r'## The rooms(.*?)## To add', PAGE.text, re.DOTALL)
    assert rooms is not None
    for room in re.findall(r'^\| `(\S+?)/`', rooms[1], re.MULTILINE):
        assert (ROOT / room).is_dir(), room
    for name in re.findall(r'`((?:ldwsccd_mmdet|dev|docs|configs|tools)/[\w./-]+)`', PAGE.text):
        if 'my_' not in name:
            assert (ROOT / name).exists(), name
    PAGE.check_links()


def test_the_drawing_is_that_of_the_script() -> None:
    """If this fails: python dev/draw_architecture.py."""
    text = (ROOT / 'docs' / 'images' / 'architecture.svg').read_text('utf-8')
    assert text == draw_architecture.draw()
    ElementTree.fromstring(text)  # well-formed
