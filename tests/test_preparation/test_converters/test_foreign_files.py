"""Files of other tools as they really are: marks, blanks, near names, names that lead outside."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from PIL import Image

from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.converters import (
    read_class_names,
    read_pascal_voc,
    read_points,
    read_voc_split,
    read_yolo,
    yolo_files,
)
from ldwsccd_mmdet.preparation.converters.coco_builder import place_images
from tests import commands

BOM = codecs.BOM_UTF8


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def picture(path: Path, size: tuple[int, int] = (60, 40)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path)
    return path


@pytest.mark.parametrize(
    ('name', 'data', 'names'),
    [
        ('a.yaml', b'names: [yes, no, 1]', ('yes', 'no', '1')),
        ('a.yaml', BOM + b'names:\n  0: a b\n  1: no\n', ('a b', 'no')),
        ('a.txt', 'lsil\r\nhigh grade\r\n\r\n'.encode('utf-16'), ('lsil', 'high grade')),
        ('a.txt', BOM + b'lsil\n\n', ('lsil',)),
    ],
)
def test_class_names(tmp_path: Path, name: str, data: bytes, names: tuple[str, ...]) -> None:
    assert read_class_names(write(tmp_path / name, data)) == names


@pytest.mark.parametrize(
    ('data', 'match'),
    [
        (b'names: {0: a, 2: c}', 'names has no entry 1'),
        (b'a: &a [x, x]\nnames: [*a, *a]', 'aliases'),
        (b'names: {x: a}', 'invalid literal'),
        (b'names: abc', 'no list of texts'),
    ],
)
def test_class_names_refused(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(DatasetError, match=match) as error:
        read_class_names(write(tmp_path / 'a.yaml', data))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('data', 'match'),
    [
        (
            b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
            'pointer of Git LFS',
        ),
        (BOM + b'\n<!DOCTYPE html>\n<html>404</html>', 'is a web page'),
        (b'["lsil", "hsil"]', 'it is JSON'),
        (b'{"0": "lsil"}', 'it is JSON'),
        (b'\n\n', 'expected some, each once'),
        (b'a\nb\na\n', 'expected some, each once'),
    ],
)
def test_no_list_of_names(tmp_path: Path, data: bytes, match: str) -> None:
    with pytest.raises(DatasetError, match=match) as error:
        read_class_names(write(tmp_path / 'a.txt', data))
    assert '\n' not in str(error.value)


def test_a_device_is_no_list_of_names() -> None:
    with pytest.raises(DatasetError, match='not a regular file'):
        read_class_names('/dev/zero')


def test_yolo_text_with_mark_and_blank_lines(tmp_path: Path) -> None:
    picture(tmp_path / 'images' / '1.png')
    write(tmp_path / 'labels' / '1.txt', BOM + b'1.0 .5 .5 .1 .1\r\n\r\n')
    builder, _ = read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a', 'b'))
    assert [(a['category_id'], a['bbox']) for a in builder.annotations] == [(2, [27, 18, 6, 4])]


def test_yolo_in_pixels_or_without_a_box(tmp_path: Path) -> None:
    picture(tmp_path / 'images' / '1.png')
    write(tmp_path / 'labels' / '1.txt', b'0 30 20 10 10')
    with pytest.raises(DatasetError, match='line 1 .*pixels or percent, not fractions'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a', 'b'))
    write(tmp_path / 'labels' / '1.txt', b'')
    builder, _ = read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a', 'b'))
    with pytest.raises(DatasetError, match='has no box and no image label'):
        builder.checked_content('labels')


def test_yolo_of_corners_is_no_yolo(tmp_path: Path) -> None:
    picture(tmp_path / 'images' / '1.png')
    text = tmp_path / 'labels' / '1.txt'
    write(text, b'0 .1 .1 .2 .3\n0 .5 .6 .7 .9\n0 .7 .1 .99 .2\n')
    with pytest.raises(DatasetError, match='look like x1, y1, x2, y2: write the centre'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a', 'b'))
    write(text, b'0 .1 .1 .2 .3\n0 .5 .6 .7 .9\n0 .8 .1 .5 .2\n')
    builder, _ = read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a', 'b'))
    assert len(builder.annotations) == 3


@pytest.mark.parametrize(
    ('file', 'name', 'match'),
    [
        ('classes.jpg', 'a', 'would have its boxes in classes.txt'),
        ('a.jpg', 'a\nb', 'have a line break'),
    ],
)
def test_yolo_names_that_would_shift_labels(file: str, name: str, match: str) -> None:
    content = {
        'images': [{'id': 1, 'file_name': file, 'width': 60, 'height': 40}],
        'categories': [{'id': 1, 'name': name}],
        'annotations': [],
    }
    with pytest.raises(DatasetError, match=match):
        yolo_files(content)


def test_images_stay_in_their_folder_and_are_not_mixed_up(tmp_path: Path) -> None:
    one, other = picture(tmp_path / '1.png'), picture(tmp_path / '2.png', (9, 9))
    out = tmp_path / 'out'
    with pytest.raises(DatasetError, match='leads out of'):
        place_images({'../x.png': one}, out, 'copy')
    assert not (tmp_path / 'x.png').exists()
    place_images({'1.png': one}, out, 'copy')
    place_images({'1.png': one}, out, 'symlink')
    with pytest.raises(ConfigError, match='1 images are there already and are others'):
        place_images({'1.png': other}, out, 'copy')
    assert (out / '1.png').read_bytes() == one.read_bytes()


@pytest.mark.parametrize(('difficult', 'crowd'), [('Unspecified', 0), ('0', 0), ('1', 1)])
def test_voc_with_blanks_marks_and_unspecified(tmp_path: Path, difficult: str, crowd: int) -> None:
    picture(tmp_path / 'JPEGImages' / 'a b.JPG')
    write(tmp_path / 'ImageSets' / 'Main' / 'train.txt', BOM + b'a b 1\r\n\r\n')
    xml = (
        '\n<annotation><filename>a b.jpg</filename><object><name>c</name>'
        f'<difficult>{difficult}</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>'
        '<ymax>9</ymax></bndbox></object></annotation>'
    )
    write(tmp_path / 'Annotations' / 'a b.xml', xml.encode())
    names = read_voc_split(tmp_path, 'train')
    builder, images = read_pascal_voc(tmp_path, names)
    assert names == ['a b'] and list(images.values()) == [tmp_path / 'JPEGImages' / 'a b.JPG']
    assert [(a['bbox'], a['iscrowd']) for a in builder.annotations] == [([1, 1, 8, 8], crowd)]


def test_points_of_a_spreadsheet_with_semicolons(tmp_path: Path) -> None:
    picture(tmp_path / 'images' / '1.png')
    header = b'image_filename;bethesda_system ;nucleus_x;nucleus_y\r\n'
    file = write(tmp_path / 'p.csv', BOM + header + b'1.PNG;HSIL;10,5;20\r\n;;;\r\n')
    builder, _ = read_points(file, tmp_path / 'images', 10)
    assert [a['bbox'] for a in builder.annotations] == [[5.5, 15, 10, 10]]


@pytest.mark.parametrize(
    'name', ['../a.jpg', '/tmp/a.jpg', 'x/../../a.jpg', 'C:\\a.jpg', '..\\a.jpg']
)
def test_to_yolo_leaves_its_folder_alone(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {
        'images': [{'id': 1, 'file_name': name, 'width': 60, 'height': 40}],
        'categories': [{'id': 1, 'name': 'a'}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 9, 9]}],
    }
    (tmp_path / 'in.json').write_text(json.dumps(content))
    assert (
        commands.run('convert to-yolo', tmp_path / 'in.json', '--out', tmp_path / 'out' / 'x') == 2
    )
    said = capsys.readouterr().err
    assert 'leads out of' in said and said.count('\n') == 1
    assert [path.name for path in tmp_path.rglob('*')] == ['in.json']
