"""A folder gives its images and slides, and no file that is a part of a slide."""

from __future__ import annotations

from pathlib import Path

import pytest

from ldwsccd_mmdet.apis.sources import find_sources

INDEX = """[Virtual Microscope Specimen]
NoLayers=1
ImageFile=scan-0.jpg
ImageFile(1,0)=scan-1.jpg
MapFile=scan-map.JPG
MacroImage=scan-macro.jpg
OptimisationFile=
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('scan-0.jpg', 'scan-1.jpg', 'scan-map.JPG', 'scan-macro.jpg', 'field.jpg'):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16'])
def test_pictures_of_a_slide_are_no_images(folder: Path, encoding: str) -> None:
    (folder / 'scan.vms').write_text(INDEX, encoding=encoding)
    assert [source.name for source in find_sources([folder])] == ['field.jpg', 'scan.vms']


def test_a_picture_of_a_slide_that_is_asked_for_is_one(folder: Path) -> None:
    (folder / 'scan.vms').write_text(INDEX)
    (source,) = find_sources([folder / 'scan-0.jpg'])
    assert source.name == 'scan-0.jpg'


@pytest.mark.parametrize('content', [b'', b'no section', b'\xff\xfe\x00', b'[a]\n[a]\nx=1\nx=2\n'])
def test_an_index_that_says_nothing_hides_nothing(folder: Path, content: bytes) -> None:
    (folder / 'scan.vms').write_bytes(content)
    assert len(find_sources([folder])) == 6
