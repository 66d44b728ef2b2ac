"""The commands of docs/data.md, taken from the page, on tiny data."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import cv2
import pytest
from PIL import Image

from ldwsccd_mmdet.preparation.checks import (
    annotations,
    duplicates,
    images,
    priors,
)
from tests.commands import run_door
from tests.test_preparation.test_composed.test_composed import crop

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'data.md').read_text(encoding='utf-8')
COMMANDS = [
    shlex.split(line)
    for block in re.findall(r'^```bash\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
    for line in block.replace('\\\n', ' ').splitlines()
]
CLASSES = ('ascus', 'hsil')


@pytest.fixture
def workplace(tmp_path, make_tiny_coco, monkeypatch) -> Path:
    """What the page begins with: sources of every format."""
    for name in ('train', 'test'):
        make_tiny_coco(tmp_path, name, num_images=3, classes=CLASSES)
    (tmp_path / 'tiny').rename(tmp_path / 'ccd')

    pictures = sorted((tmp_path / 'ccd' / 'images').iterdir())
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (tmp_path / 'bccd' / folder).mkdir(parents=True)
    for picture, split in zip(pictures, ('train', 'train', 'train', 'val', 'test'), strict=False):
        shutil.copy(picture, tmp_path / 'bccd' / 'JPEGImages')
        names = tmp_path / 'bccd' / 'ImageSets' / 'Main' / f'{split}.txt'
        names.write_text((names.read_text() if names.is_file() else '') + picture.stem + '\n')
        objects = ''.join(
            f'<object><name>{name}</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>{x}</xmax>'
            '<ymax>40</ymax></bndbox></object>'
            for name, x in (('Platelets', 30), ('RBC', 60), ('WBC', 80))
        )
        xml = tmp_path / 'bccd' / 'Annotations' / f'{picture.stem}.xml'
        xml.write_text(f'<annotation>{objects}</annotation>')

    for folder in ('images', 'labels'):
        (tmp_path / 'yolo' / folder / 'train').mkdir(parents=True)
    shutil.copy(pictures[0], tmp_path / 'yolo' / 'images' / 'train')
    text = tmp_path / 'yolo' / 'labels' / 'train' / f'{pictures[0].stem}.txt'
    text.write_text('1 0.5 0.5 0.25 0.25\n')
    (tmp_path / 'yolo' / 'data.yaml').write_text('names: [ascus, hsil]')

    (tmp_path / 'cric' / 'images').mkdir(parents=True)
    Image.new('RGB', (300, 200)).save(tmp_path / 'cric' / 'images' / 'a.png')
    (tmp_path / 'cric' / 'classifications.csv').write_text(
        'image_id,image_filename,image_doi,cell_id,bethesda_system,nucleus_x,nucleus_y\n'
        '1,a.png,doi,1,ASC-US,150,100\n'
    )

    from ldwsccd_mmdet.preparation.converters import CCD_CLASSES

    for number, name in enumerate(CCD_CLASSES):
        (tmp_path / 'crops' / name).mkdir(parents=True)
        for i in range(4):
            cv2.imwrite(str(tmp_path / 'crops' / name / f'{i}.png'), crop(10 * number + i))
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: list[str]) -> int:
    assert command[0] == 'python'
    if 'compose_scenes' in command[1]:  # the last of two counts
        command = [*command, '--num-train', '2', '--num-test', '1', '--size', '128']
    return run_door(*command[1:])


def test_commands_run_in_the_order_of_the_page(workplace):
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        assert run(command) == 0, command
    written = {path.relative_to(workplace).as_posix() for path in workplace.rglob('*.json')}
    assert {
        'data/ccd/train.json',
        'data/ccd/test.json',
        'data/bccd/val.json',
        'data/mine/train.json',
        'data/cric/all.json',
        'data/composed/train.json',
        'work_dirs/doctor/bccd.json',
    } <= written
    assert (workplace / 'yolo_again' / 'labels' / 'train' / 'classes.txt').is_file()
    assert len(list((workplace / 'work_dirs' / 'browse').rglob('*.jpg'))) == 3
    box = json.loads((workplace / 'data' / 'cric' / 'all.json').read_text())['annotations'][0]
    assert box['bbox'] == [105, 55, 90, 90]


def test_the_table_names_every_check():
    modules = (annotations, duplicates, images, priors)
    sources = ''.join(Path(module.__file__).read_text() for module in modules)
    named = set(re.findall(r"'((?:box|class|file|image|prior)-[a-z-]+)'", sources))
    named |= {f'image-{fault}' for fault in ('missing', 'unreadable', 'truncated')}
    assert len(named) > 15
    assert {name for name in named if f'`{name}`' not in PAGE} == set()
