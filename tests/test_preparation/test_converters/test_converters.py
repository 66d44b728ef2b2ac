"""Every converter: what it keeps, what it counts, what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.datasets.coco_json import load_coco
from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.converters import (
    BETHESDA_CLASSES,
    CCD_CLASSES,
    ClassMap,
    CocoBuilder,
    cytology_class,
    read_class_names,
    read_comparison_detector,
    read_pascal_voc,
    read_points,
    read_voc_split,
    read_yolo,
    voc_classes,
    yolo_files,
)
from ldwsccd_mmdet.preparation.converters.coco_builder import (
    check_new,
    dump,
    place_images,
    write_new,
)

SHARED = Path(__file__).resolve().parents[4] / 'shared' / 'data'


def write_image(path: Path, width: int = 60, height: int = 40) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (width, height), 'pink').save(path)
    return path


# -- what all of them share


def test_builder_counts_what_it_leaves_out_and_keeps_the_label():
    builder = CocoBuilder(('a', 'b'), 'x', min_size=2, made_by='test')
    image = builder.add_image('1.jpg', 60, 40)
    assert builder.add_box(image, 'a', [1, 2, 30, 20])
    assert not builder.add_box(image, 'b', [1, 2, 0, 20])
    assert not builder.add_box(image, 'b', [1, 2, 1, 20])
    assert not builder.add_box(image, 'b', [70, 2, 5, 20])
    assert not builder.add_box(image, None, [1, 2, 5, 20])
    labelled = builder.add_image('2.jpg', 60, 40, image_label='b')
    builder.add_box(labelled, 'a', [1, 2, 5, 5])
    content = builder.content()
    assert content['info']['boxes_left_out'] == {
        'of no area (or under 1 px wide or high)': 1,
        'under 2 px wide or high': 1,
        'outside their image': 1,
        'of a class left out': 1,
    }
    assert content['info']['made_by'] == 'test'
    assert content['images'][0]['image_labels'] == ['a', 'b']
    assert content['images'][1]['image_label'] == 'b' and 'image_labels' not in content['images'][1]
    assert [a['area'] for a in content['annotations']] == [600, 25]
    assert '2 images, 2 boxes (a 2, b 0); left out 4 boxes: 1 of no area' in builder.summary()


def test_builder_takes_names_in_one_form():
    builder = CocoBuilder(('a ', 'a', 'e\u0301', ''), 'x')
    assert builder.classes == ('a', '\u00e9')
    image = builder.add_image('1.jpg', 60, 40)
    assert builder.add_box(image, ' a', [1, 2, 30, 20])
    assert builder.add_box(image, '\u00e9', [1, 2, 30, 20])
    assert not builder.add_box(image, ' ', [1, 2, 30, 20])
    assert builder.left_out == {'whose class has no name': 1}
    assert [a['category_id'] for a in builder.annotations] == [1, 2]
    with pytest.raises(DatasetError, match="two images are named '1.jpg'"):
        builder.add_image('1.jpg', 60, 40)
    with pytest.raises(DatasetError, match='have a line break'):
        CocoBuilder(('a\nb',), 'x')


def test_nothing_is_overwritten(tmp_path):
    write_new(tmp_path / 'new' / 'a.json', '{}')
    with pytest.raises(ConfigError, match='a.json exists, and nothing is overwritten'):
        write_new(tmp_path / 'new' / 'a.json', '[]')
    assert (tmp_path / 'new' / 'a.json').read_text() == '{}'
    assert [p.name for p in (tmp_path / 'new').iterdir()] == ['a.json']
    with pytest.raises(ConfigError, match='a.json.*new exists'):
        check_new(tmp_path / 'new' / 'a.json', tmp_path / 'b.json', tmp_path / 'new')


def test_nan_is_no_json():
    with pytest.raises(DatasetError, match='number that JSON does not know'):
        dump({'x': float('nan')})


@pytest.mark.parametrize('mode', ['symlink', 'copy'])
def test_images_are_placed(tmp_path, mode):
    source = write_image(tmp_path / 'in' / '1.png')
    place_images({'sub/1.png': source}, tmp_path / 'out', mode)
    placed = tmp_path / 'out' / 'sub' / '1.png'
    assert placed.read_bytes() == source.read_bytes() and placed.is_symlink() == (mode == 'symlink')
    place_images({'2.png': source}, tmp_path / 'none', 'none')
    assert not (tmp_path / 'none').exists()


def test_a_copy_that_is_cut_off_is_not_there(tmp_path, monkeypatch):
    source = write_image(tmp_path / 'in' / '1.png')

    def half(one, other):
        other.write_bytes(one.read_bytes()[:20])
        raise KeyboardInterrupt

    monkeypatch.setattr('shutil.copyfile', half)
    with pytest.raises(KeyboardInterrupt):
        place_images({'1.png': source}, tmp_path / 'out', 'copy')
    assert not list((tmp_path / 'out').iterdir())
    monkeypatch.undo()
    place_images({'1.png': source}, tmp_path / 'out', 'copy')
    assert (tmp_path / 'out' / '1.png').read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('ASC-US', 'ascus'),
        ('ASC-H', 'asch'),
        ('Herpes', 'herps'),
        ('HSIL', 'hsil'),
        ('Negative for intraepithelial lesion', 'nilm'),
        ('actinomyces', 'actinomyces'),
        ('polyp', 'polyp'),
    ],
)
def test_spellings(name, expected):
    assert cytology_class(name) == expected


def test_class_map_lists_every_unknown_name():
    names = ClassMap(('ascus', 'hsil'), {'junk': '', 'H': 'hsil'})
    assert [names(n) for n in ('ASC-US', 'junk', 'H', 'hsil')] == ['ascus', None, 'hsil', 'hsil']
    with pytest.raises(DatasetError, match=r"'blob' \(7\), 'x' \(1\); expected ascus, hsil"):
        names.check({'ASC-US': 3, 'x': 1, 'blob': 7, 'junk': 2}, 'src')
    assert ClassMap(None, {'junk': ''}).check({'b': 1, 'a': 1, 'junk': 1}, 'src') == ('a', 'b')


# -- Pascal VOC


@pytest.fixture
def voc(tmp_path):
    def make(objects, width=60, height=40, name='one'):
        write_image(tmp_path / 'JPEGImages' / f'{name}.jpg', width, height)
        nodes = ''.join(
            f'<object><name>{n}</name><difficult>{d}</difficult><bndbox><xmin>{b[0]}</xmin>'
            f'<ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>'
            for n, d, b in objects
        )
        xml = tmp_path / 'Annotations' / f'{name}.xml'
        xml.parent.mkdir(exist_ok=True)
        # the size in the file is wrong, as often
        xml.write_text(
            f'<annotation><filename>other.jpg</filename><size><width>0</width><height>0</height>'
            f'</size>{nodes}</annotation>'
        )
        lists = tmp_path / 'ImageSets' / 'Main'
        lists.mkdir(parents=True, exist_ok=True)
        (lists / 'train.txt').write_text(f'{name}  1\n\n')
        return tmp_path

    return make


def test_voc(voc):
    root = voc([('b', 0, (3, 4, 13, 24)), ('a', 1, (1, 1, 11, 11)), ('b', 0, (5, 5, 5, 5))])
    names = read_voc_split(root, 'train')
    assert names == ['one'] and voc_classes(root, names) == {'a': 1, 'b': 2}
    builder, images = read_pascal_voc(root, names)
    content = builder.content()
    assert images == {'one.jpg': root / 'JPEGImages' / 'one.jpg'}
    assert content['images'] == [
        {'id': 1, 'file_name': 'one.jpg', 'width': 60, 'height': 40, 'image_labels': ['a', 'b']}
    ]
    first, difficult = content['annotations']
    assert (first['bbox'], first['category_id'], first['iscrowd']) == ([3, 4, 10, 20], 2, 0)
    assert (difficult['iscrowd'], difficult['difficult']) == (1, 1)
    assert content['info']['boxes_left_out'] == {'of no area (or under 1 px wide or high)': 1}
    pixels, _ = read_pascal_voc(root, names, one_based=True)
    # first and last pixel are in the box: pixels 5 to 5 are one pixel
    assert [a['bbox'] for a in pixels.annotations] == [[2, 3, 11, 21], [0, 0, 11, 11], [4, 4, 1, 1]]


def test_voc_refuses(voc):
    root = voc([('a', 0, (3, 4, 13, 24))])
    with pytest.raises(DatasetError, match='test.txt.*does not exist.*found train'):
        read_voc_split(root, 'test')
    with pytest.raises(DatasetError, match=r'2 of the 3 XML files.*two.xml, .*three.xml; put'):
        read_pascal_voc(root, ['one', 'two', 'three'])
    (root / 'JPEGImages' / 'one.jpg').unlink()
    with pytest.raises(DatasetError, match=r'1 of the 1 images.*one.jpg; put them into JPEGImages'):
        read_pascal_voc(root, ['one'])
    xml = root / 'Annotations' / 'one.xml'
    xml.write_text('<annotation><object><name>a</name></object></annotation>')
    with pytest.raises(DatasetError, match='one.xml.*is not Pascal VOC.*no <bndbox/xmin>'):
        read_pascal_voc(root, ['one'])
    xml.write_text('<annotation><object>')
    with pytest.raises(DatasetError, match='one.xml.*is not Pascal VOC'):
        read_pascal_voc(root, ['one'])


@pytest.mark.skipif(not (SHARED / 'bccd').is_dir(), reason='needs ../shared/data/bccd')
def test_bccd():
    root = SHARED / 'bccd'
    names = read_voc_split(root, 'trainval') + read_voc_split(root, 'test')
    builder, _ = read_pascal_voc(root, names)
    assert len(builder.images) == 364 and len(builder.annotations) == 4886
    assert builder.left_out == {'of no area (or under 1 px wide or high)': 2}
    counts = np.bincount([a['category_id'] for a in builder.annotations])[1:]
    assert dict(zip(builder.classes, counts.tolist(), strict=True)) == {
        'Platelets': 361,
        'RBC': 4153,
        'WBC': 372,
    }


# -- YOLO


def test_coco_to_yolo_and_back_keeps_every_box(tmp_path):
    rng = np.random.default_rng(0)
    builder = CocoBuilder(('nilm', 'lsil', 'hsil'), 'x')
    for number, (width, height) in enumerate([(1376, 1020), (333, 777), (4000, 3000), (60, 40)]):
        name = f'a/{number}.png' if number % 2 else f'{number}.jpg'
        write_image(tmp_path / 'images' / name, width, height)
        image = builder.add_image(name, width, height, image_label='hsil')
        for _ in range(40 if number < 3 else 0):
            w, h = rng.uniform(1, 100, 2)
            x, y = rng.uniform(-20, width - 1), rng.uniform(0, height - 1)
            builder.add_box(image, str(rng.choice(builder.classes)), [x, y, w, h])
    source = builder.content()
    files, left_out = yolo_files(source)
    assert not left_out
    for name, text in files.items():
        write_new(tmp_path / 'labels' / name, text)
    names = read_class_names(tmp_path / 'labels' / 'classes.txt')
    back, _ = read_yolo(tmp_path / 'images', tmp_path / 'labels', names)
    assert back.classes == builder.classes and len(back.images) == 4

    def boxes(content):
        file = {image['id']: image['file_name'] for image in content['images']}
        order = sorted(
            content['annotations'], key=lambda a: (file[a['image_id']], a['bbox'][0], a['id'])
        )
        keys = [(file[a['image_id']], a['category_id']) for a in order]
        return keys, np.array([a['bbox'] for a in order])

    keys, expected = boxes(source)
    found_keys, found = boxes(back.content())
    assert found_keys == keys and len(keys) == 120
    assert np.abs(found - expected).max() < 1e-5
    assert {i['image_label'] for i in back.content()['images']} == {'hsil'}


def test_yolo_leaves_out_what_it_has_no_place_for():
    builder = CocoBuilder(('a',), 'x')
    image = builder.add_image('1.jpg', 60, 40)
    builder.add_box(image, 'a', [1, 2, 30, 20], iscrowd=1)
    content = builder.content()
    for image_id, bbox in ((image, [1, 2, 0, 3]), (9, [1, 2, 3, 3])):
        content['annotations'].append(
            {**content['annotations'][0], 'image_id': image_id, 'bbox': bbox, 'iscrowd': 0}
        )
    files, left_out = yolo_files(content)
    assert files['1.txt'] == '' and sum(left_out.values()) == 3 and len(left_out) == 3


@pytest.mark.parametrize(
    ('line', 'match'),
    [('3 .5 .5 .1 .1', 'class 3 of 2'), ('0 .5 .5 .1', 'line 2'), ('a .5 .5 .1 .1', 'line 2')],
)
def test_yolo_names_the_bad_line(tmp_path, line, match):
    write_image(tmp_path / 'images' / '1.png')
    text = tmp_path / 'labels' / '1.txt'
    text.parent.mkdir()
    text.write_text(f'1 .5 .5 .1 .1\n{line}\n')
    with pytest.raises(DatasetError, match=match):
        read_yolo(tmp_path / 'images', text.parent, ('a', 'b'))


def test_yolo_refuses_folders_that_do_not_belong_together(tmp_path):
    with pytest.raises(DatasetError, match='no image in'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a',))
    write_image(tmp_path / 'images' / '1.png')
    with pytest.raises(DatasetError, match="don't belong together"):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a',))
    for name in ('1.txt', '2.txt', 'classes.txt'):
        write_new(tmp_path / 'labels' / name, '')
    with pytest.raises(DatasetError, match=r'1 text files without an image \(.*2.txt\)'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a',))
    write_image(tmp_path / 'images' / '1.jpg')
    with pytest.raises(DatasetError, match='share a text file.*1.jpg and 1.png'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a',))


@pytest.mark.parametrize('text', ['{', '[]', '{"1.png": 3}'])
def test_yolo_names_a_broken_file_of_labels(tmp_path, text):
    write_image(tmp_path / 'images' / '1.png')
    write_new(tmp_path / 'labels' / '1.txt', '')
    write_new(tmp_path / 'labels' / 'image_labels.json', text)
    with pytest.raises(DatasetError, match='image_labels.json.*is not a JSON object'):
        read_yolo(tmp_path / 'images', tmp_path / 'labels', ('a',))


def test_class_names_of_yaml(tmp_path):
    file = tmp_path / 'data.yaml'
    for text in ('names: [x, y]', 'names: {1: y, 0: x}'):
        file.write_text(text)
        assert read_class_names(file) == ('x', 'y')
    for text in ('names: [x, x]', 'path: here', 'names: {1: x}', '[', 'x'):
        file.write_text(text)
        with pytest.raises(DatasetError, match='data.yaml'):
            read_class_names(file)


# -- points


@pytest.fixture
def cric(tmp_path):
    def make(
        rows, header='image_id image_filename image_doi cell_id bethesda_system nucleus_x nucleus_y'
    ):
        write_image(tmp_path / 'images' / '1.png', 200, 100)
        file = tmp_path / 'cells.csv'
        with file.open('w', newline='') as stream:
            csv.writer(stream).writerows([header.split(), *rows])
        return file

    return make


def test_points(cric, tmp_path):
    file = cric(
        [
            (1, '1.png', 'doi', 1, 'ASC-H', 100, 50),
            (1, '1.png', 'doi', 2, 'Negative for intraepithelial lesion', 5, 50),
            (1, '1.png', 'doi', 3, 'HSIL', 900, 50),
        ]
    )
    builder, _ = read_points(file, tmp_path / 'images', 20)
    content = builder.content()
    assert builder.classes == BETHESDA_CLASSES
    assert [a['bbox'] for a in content['annotations']] == [[90, 40, 20, 20], [0, 40, 15, 20]]
    assert content['annotations'][0]['nucleus'] == [100, 50]
    assert content['info']['boxes_clipped'] == 1
    assert content['info']['boxes_left_out'] == {'whose point is outside the image': 1}
    # the frame of the points is twice as large as the image
    builder, _ = read_points(file, tmp_path / 'images', 40, frame=(400, 200))
    assert builder.annotations[0]['bbox'] == [40, 15, 20, 20]


def test_points_refuse(cric, tmp_path):
    images = tmp_path / 'images'
    row = (1, '1.png', 'doi', 1, 'ASC-H', 100, 50)
    with pytest.raises(DatasetError, match='no column bethesda_system: found .*--columns'):
        read_points(cric([], 'image_filename class nucleus_x nucleus_y'), images, 20)
    with pytest.raises(DatasetError, match='no row below its header'):
        read_points(cric([]), images, 20)
    with pytest.raises(DatasetError, match=r"line 3.*\['7', ''\], expected numbers"):
        read_points(cric([row, (1, '1.png', 'doi', 1, 'ASC-H', 7, '')]), images, 20)
    with pytest.raises(DatasetError, match=r"'Polyp' \(1\)"):
        read_points(cric([row, (1, '1.png', 'doi', 1, 'Polyp', 7, 7)]), images, 20)
    with pytest.raises(ConfigError, match='--box-size is 0'):
        read_points(cric([row]), images, 0)
    two = cric([row, (2, '2.png', 'd', 2, 'SCC', 7, 7), (3, '3.png', 'd', 3, 'SCC', 7, 7)])
    with pytest.raises(DatasetError, match='2 of the 3 images.*2.png, .*3.png;'):
        read_points(two, images, 20)
    builder, found = read_points(two, images, 20, skip_missing=True)
    assert list(found) == ['1.png'] and builder.left_out == {'of an image that is not there': 2}


@pytest.mark.skipif(not (SHARED / 'cric').is_dir(), reason='needs ../shared/data/cric')
def test_cric_comes_out_as_it_is(tmp_path):
    """A CSV of the nuclei, in CRIC's frame of 1376 x 1020, gives the boxes of its json."""
    truth = json.loads((SHARED / 'cric' / 'val.json').read_text())
    images = {i['id']: i for i in truth['images']}
    names = {c['id']: c['name'] for c in truth['categories']}
    file = tmp_path / 'cric.csv'
    with file.open('w', newline='') as stream:
        writer = csv.writer(stream)
        writer.writerow(['image_filename', 'bethesda_system', 'nucleus_x', 'nucleus_y'])
        for a in truth['annotations']:
            image = images[a['image_id']]
            x, y = a['nucleus']
            writer.writerow(
                [
                    image['file_name'],
                    names[a['category_id']],
                    x * 1376 / image['width'],
                    y * 1020 / image['height'],
                ]
            )
    builder, _ = read_points(file, SHARED / 'cric' / 'images', 90, frame=(1376, 1020))
    assert len(builder.images) == 48 and len(builder.annotations) == 1000


# -- the paper's set


@pytest.fixture
def ccd(tmp_path):
    def make(edit=lambda content: None):
        content = {
            'images': [
                {'id': 7, 'file_name': 'D:\\tct\\1.jpg', 'width': 60, 'height': 40},
                {'id': 9, 'file_name': '2.jpg', 'width': 60, 'height': 40},
            ],
            'categories': [{'id': i, 'name': n} for i, n in enumerate(reversed(CCD_CLASSES))],
            'annotations': [
                {'id': 1, 'image_id': 7, 'category_id': 10, 'bbox': [1, 2, 30, 20]},
                {'id': 2, 'image_id': 7, 'category_id': 7, 'bbox': [1, 2, 1, 20]},
                {'id': 3, 'image_id': 9, 'category_id': 1, 'bbox': [1, 2, 9, 9], 'iscrowd': 1},
            ],
        }
        edit(content)
        file = tmp_path / 'train.json'
        file.write_text(json.dumps(content))
        return file

    return make


def test_comparison_detector(ccd, tmp_path):
    for number in (1, 2):
        write_image(tmp_path / 'images' / f'{number}.jpg')
    builder = read_comparison_detector(ccd(), tmp_path / 'images')
    content = builder.content()
    assert [c['name'] for c in content['categories']] == list(CCD_CLASSES)
    assert [i['file_name'] for i in content['images']] == ['1.jpg', '2.jpg']
    # the box 1 px wide is gone, its class is still the image's
    assert [i['image_labels'] for i in content['images']] == [['ascus', 'hsil'], ['herps']]
    assert content['info']['boxes_left_out'] == {'under 2 px wide or high': 1}
    assert [(a['category_id'], a['iscrowd']) for a in content['annotations']] == [(1, 0), (10, 1)]
    write_new(tmp_path / 'out.json', dump(content))
    dataset = CervicalCellDataset(
        ann_file=str(tmp_path / 'out.json'), data_prefix={'img': str(tmp_path / 'images')}
    )
    assert [len(dataset.get_data_info(i)['instances']) for i in range(2)] == [1, 1]
    assert load_coco(tmp_path / 'out.json') == json.loads((tmp_path / 'out.json').read_text())


def test_comparison_detector_refuses(ccd, tmp_path):
    with pytest.raises(DatasetError, match=r'2 of the 2 images.*1.jpg, .*2.jpg; put them'):
        read_comparison_detector(ccd(), tmp_path / 'images')
    file = ccd(lambda content: content['categories'][10].update(name='polyp'))
    with pytest.raises(DatasetError, match=r"'polyp' \(1\); expected ascus"):
        read_comparison_detector(file)
    file = ccd(lambda content: content['images'][1].update(file_name='other/1.jpg'))
    with pytest.raises(DatasetError, match='lists 1 image files twice: 1.jpg'):
        read_comparison_detector(file)
    file = ccd(lambda content: content['annotations'][0].update(image_id=1))
    with pytest.raises(DatasetError, match='annotation 1 has category_id 10 and image_id 1'):
        read_comparison_detector(file)
