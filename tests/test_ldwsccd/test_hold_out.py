"""ldwsccd hold-out on tiny data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import commands


@pytest.fixture
def annotations(tiny_coco) -> Path:
    return tiny_coco('train', num_images=10) / 'train.json'


def run(annotations: Path, out: Path, *more: object) -> int:
    parts = ('--train', out / 'part.json', '--val', out / 'val.json')
    return commands.run('hold-out', annotations, *parts, *more)


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding='utf-8'))


def test_each_image_is_in_one_part_with_its_boxes(annotations, tmp_path, capsys):
    assert run(annotations, tmp_path, '--share', 0.3) == 0
    whole, part, val = (
        read(path) for path in (annotations, tmp_path / 'part.json', tmp_path / 'val.json')
    )
    assert (len(part['images']), len(val['images'])) == (7, 3)
    ids = [{image['id'] for image in content['images']} for content in (part, val)]
    assert not ids[0] & ids[1] and ids[0] | ids[1] == {image['id'] for image in whole['images']}
    for content, own in zip((part, val), ids, strict=True):
        expected = [a for a in whole['annotations'] if a['image_id'] in own]
        assert content['annotations'] == expected
        assert content['categories'] == whole['categories']
    assert 'val.json: 3 images' in capsys.readouterr().out


def test_the_same_seed_gives_the_same_parts(annotations, tmp_path):
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        assert run(annotations, tmp_path / name, '--seed', 5) == 0
    assert read(tmp_path / 'a' / 'val.json') == read(tmp_path / 'b' / 'val.json')


def test_bad_share_and_files_that_are_there(annotations, tmp_path, capsys):
    assert run(annotations, tmp_path, '--share', 1.5) == 2
    assert '--share: expected a part between 0 and 1, found 1.5' in capsys.readouterr().err
    (tmp_path / 'val.json').write_text('mine')
    assert run(annotations, tmp_path) == 2
    assert (tmp_path / 'val.json').read_text() == 'mine' and not (tmp_path / 'part.json').exists()
