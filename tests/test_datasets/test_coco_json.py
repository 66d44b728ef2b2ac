"""The one reader: files as exporters write them, and what comes of each."""

from __future__ import annotations

import codecs
import copy
import gzip
import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ldwsccd_mmdet.datasets.coco_json import (
    clean_coco,
    index_truth,
    label_names,
    load_coco,
    missing_classes,
    read_coco,
    truth_of_records,
)
from ldwsccd_mmdet.errors import DatasetError, ResultsError

Content = dict[str, Any]


def content(**changes: Any) -> Content:
    """Two images, three boxes, three classes; clean but for the changes."""
    boxes = [(1, 1, [5, 6, 20, 10]), (1, 2, [40, 10, 12, 14]), (2, 3, [30, 20, 25, 30])]
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 100, 'height': 80} for i in (1, 2)],
        'categories': [{'id': i, 'name': n} for i, n in enumerate(('lsil', 'hsil', 'scc'), 1)],
        'annotations': [
            {
                'id': i,
                'image_id': image,
                'category_id': category,
                'bbox': bbox,
                'area': bbox[2] * bbox[3],
                'iscrowd': 0,
            }
            for i, (image, category, bbox) in enumerate(boxes, 1)
        ],
        **changes,
    }


def drop(*keys: str) -> Callable[[Content], None]:
    def edit(c: Content) -> None:
        for a in c['annotations']:
            for key in keys:
                a.pop(key)

    return edit


def each(section: str, **values: Any) -> Callable[[Content], None]:
    def edit(c: Content) -> None:
        for index, record in enumerate(c[section]):
            for key, value in values.items():
                record[key] = value(index, record) if callable(value) else value

    return edit


def renumber_categories(c: Content) -> None:
    for record in (*c['categories'], *c['annotations']):
        key = 'category_id' if 'category_id' in record else 'id'
        record[key] = (40, 3, 7)[record[key] - 1]


def text_images(c: Content) -> None:
    for image in c['images']:
        image['id'] = f'field {image["id"]}'
    for a in c['annotations']:
        a['image_id'] = f'field {a["image_id"]}'


def polygons(c: Content) -> None:
    for a in c['annotations']:
        x, y, w, h = a.pop('bbox')
        a['segmentation'] = [[x, y, x + w, y, x + w, y + h], [x, y + h, x, y]]


def flat_polygons(c: Content) -> None:
    for a in c['annotations']:
        x, y, w, h = a.pop('bbox')
        a['segmentation'] = [x, y, x + w, y, x + w, y + h]


def masks(c: Content) -> None:
    for a in c['annotations']:
        x, y, w, h = a.pop('bbox')
        runs = [x * 80 + y, *([h, 80 - h] * w)]
        runs[-1] += 8000 - sum(runs)
        a['segmentation'] = {'size': [80, 100], 'counts': runs}


def zero_boxes(c: Content) -> None:
    polygons(c)
    for a in c['annotations']:
        a['bbox'] = [0, 0, 0, 0]


def record_a_box(c: Content) -> None:
    images = {image['id']: image for image in c['images']}
    c['images'] = [{**images[a['image_id']], 'id': 10 + a['id']} for a in c['annotations']]
    for a in c['annotations']:
        a['image_id'] = 10 + a['id']


def listed_twice(c: Content) -> None:
    c['images'] += [{**image, 'id': image['id'] + 9} for image in c['images']]
    twins = [{**a, 'id': a['id'] + 9, 'image_id': a['image_id'] + 9} for a in c['annotations']]
    c['annotations'] += twins


MENDED: dict[str, Callable[[Content], None]] = {
    'nothing': lambda c: None,
    'no iscrowd, no area (VIA, labelme2coco)': drop('iscrowd', 'area'),
    'no annotation id': drop('id'),
    'annotation ids from 0 (Roboflow, Label Studio)': each('annotations', id=lambda i, r: i),
    'annotation ids twice': each('annotations', id=7),
    'area 0': each('annotations', area=0),
    'area null': each('annotations', area=None),
    'area as text': each('annotations', area=lambda i, r: str(r['area'])),
    'iscrowd as text': each('annotations', iscrowd='0'),
    'iscrowd false': each('annotations', iscrowd=False),
    'iscrowd null': each('annotations', iscrowd=None),
    'image ids as text (VIA)': each('images', id=lambda i, r: str(r['id'])),
    'image_id as text': each('annotations', image_id=lambda i, r: str(r['image_id'])),
    'image_id as text of a float (pandas)': each(
        'annotations', image_id=lambda i, r: f'{r["image_id"]}.0'
    ),
    'iscrowd as text of a float': each('annotations', iscrowd='0.0'),
    'an area without end': each('annotations', area=10**400),
    'an area that is infinite': each('annotations', area=float('inf')),
    'a negative area': each('annotations', area=-5),
    'class names with blanks around': each('categories', name=lambda i, r: f' {r["name"]}\u00a0'),
    'annotation ids that are lists': each('annotations', id=lambda i, r: [i]),
    'annotation ids beyond what floats tell apart': each('annotations', id=2**60),
    'image_id as float': each('annotations', image_id=lambda i, r: float(r['image_id'])),
    'category_id as text': each('annotations', category_id=lambda i, r: str(r['category_id'])),
    'category ids as text': each('categories', id=lambda i, r: str(r['id'])),
    'category ids 40, 3, 7': renumber_categories,
    'category_id is the name': each(
        'annotations', category_id=lambda i, r: ('lsil', 'hsil', 'scc')[r['category_id'] - 1]
    ),
    'image_id is the file': each('annotations', image_id=lambda i, r: f'{r["image_id"]}.jpg'),
    'image ids that are words': text_images,
    'boxes as text': each('annotations', bbox=lambda i, r: [str(v) for v in r['bbox']]),
    'sizes as text': each('images', width='100', height='80'),
    'polygons alone (Supervisely, QuPath)': polygons,
    'one polygon without a list around it': flat_polygons,
    'masks alone (Label Studio, SAM)': masks,
    'boxes of zeros beside polygons': zero_boxes,
    'an image record for each box': record_a_box,
    'all listed twice': listed_twice,
    'more keys': each('annotations', attributes={'occluded': False}, segmentation=[]),
    'no score, info null (CVAT)': lambda c: c.update(info=None, licenses=None),
}


@pytest.mark.parametrize('kind', MENDED)
def test_what_is_put_right_comes_out_as_the_clean_file(kind: str) -> None:
    raw = content()
    MENDED[kind](raw)
    before = copy.deepcopy(raw)
    file = clean_coco(raw, 'x.json')
    assert raw == before
    assert not file.left_out and bool(file.mended) == (kind not in _SILENT)
    names = {c['id']: c['name'] for c in file.content['categories']}
    files = {i['id']: i['file_name'] for i in file.content['images']}
    found = [
        (files[a['image_id']], names[a['category_id']], list(map(float, a['bbox'])), a['iscrowd'])
        for a in file.content['annotations']
    ]
    assert found == [
        ('1.jpg', 'lsil', [5, 6, 20, 10], 0),
        ('1.jpg', 'hsil', [40, 10, 12, 14], 0),
        ('2.jpg', 'scc', [30, 20, 25, 30], 0),
    ]
    assert [a['area'] for a in file.content['annotations']] == [200, 168, 750]
    ids = [a['id'] for a in file.content['annotations']]
    assert len(set(ids)) == 3 and all(type(i) is int and i > 0 for i in ids)
    assert all(type(i['id']) is int for i in file.content['images'])
    # reading what was read changes nothing
    again = clean_coco(file.content, 'x.json')
    assert again.content == file.content and not again.mended


_SILENT = (
    'nothing',
    'category ids 40, 3, 7',
    'more keys',
    'area as text',
    'no score, info null (CVAT)',
)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'bbox': [1, 2, float('nan'), 4]}, 'finite'),
        ({'bbox': [1, 2, float('inf'), 4]}, 'finite'),
        ({'bbox': [1, 2, 10**400, 4]}, 'finite'),
        ({'bbox': [1, 2, 3]}, 'finite'),
        ({'bbox': None}, 'finite'),
        ({'bbox': 'x'}, 'finite'),
        ({'bbox': {'x': 1}}, 'finite'),
        ({'bbox': [1, 2, -3, 4]}, 'negative'),
        ({'bbox': [1, 2, 0, 4]}, 'no area'),
        ({'bbox': [1, 2, 0.4, 4]}, 'no area'),
        ({'bbox': [100, 2, 5, 4]}, 'outside'),
        ({'image_id': 9}, 'no image'),
        ({'image_id': None}, 'no image'),
        ({'image_id': [1]}, 'no image'),
        ({'category_id': 9}, 'category_id 9'),
        ({'category_id': {'id': 1}}, 'category_id {"id": 1}'),
    ],
)
def test_what_cannot_be_used_is_counted(change: Content, reason: str) -> None:
    raw = content()
    raw['annotations'][1].update(change)
    file = clean_coco(raw, 'x.json')
    ((why, (bad,)),) = file.left_out.items()
    assert reason in why and bad['id'] == 2
    assert len(file.content['annotations']) == 2 and len(file.everything['annotations']) == 3
    counts = file.counts()
    assert counts.boxes == 2 and counts.num_lost == 1
    assert counts.warning().startswith('LABELS ARE LOST, 33% of the boxes (1)')


@pytest.mark.parametrize('value', [1, '1', True, 'true', 1.0, '1.0', ' Yes '])
def test_crowds(value: Any) -> None:
    raw = content()
    raw['annotations'][0]['iscrowd'] = value
    raw['annotations'][1]['ignore'] = value
    file = clean_coco(raw, 'x.json')
    assert [a['iscrowd'] for a in file.content['annotations']] == [1, 1, 0]
    assert not any('ignore' in a for a in file.content['annotations'])


@pytest.mark.parametrize(('crowds', 'loud'), [(1, False), (3, True)])
def test_crowds_of_more_than_a_tenth_are_said(crowds: int, loud: bool) -> None:
    raw = content()
    first = raw['annotations'][0]
    raw['annotations'] = [
        {**first, 'id': i, 'bbox': [i, 6, 20, 10], 'iscrowd': int(i < crowds)} for i in range(20)
    ]
    warning = clean_coco(raw, 'x.json').counts().warning()
    assert ('LABELS ARE LOST, 15% of the boxes (3)' in warning) == loud == bool(warning)


def test_boxes_that_are_there_twice_are_said() -> None:
    raw = content()
    raw['annotations'] += [{**a, 'id': a['id'] + 9} for a in raw['annotations'][:1]]
    counts = clean_coco(raw, 'x.json').counts()
    assert counts.boxes == 4 and '1 boxes repeat another one to the number' in counts.warning()


def fractions(c: Content) -> None:
    for a in c['annotations']:
        a['bbox'] = [v / s for v, s in zip(a['bbox'], (100, 80, 100, 80), strict=True)]


@pytest.mark.parametrize(
    ('edit', 'match'),
    [
        (each('annotations', iscrowd=1), 'no label .* is left: 3 boxes are marked iscrowd.*to 0'),
        (each('annotations', image_id='q'), r'no label .* 3 boxes belong to no image'),
        (each('annotations', category_id='q'), r'no label .* 3 of category_id q'),
        (fractions, 'no label .*fractions of the image: multiply'),
        (lambda c: c.update(annotations=[]), 'has no box and no image label'),
        (each('annotations', bbox=[1, 2, 3]), 'no label .* 3 without four finite numbers'),
    ],
)
def test_no_label_left_is_an_error(tmp_path: Path, edit: Any, match: str) -> None:
    raw = content()
    edit(raw)
    (tmp_path / 'x.json').write_text(json.dumps(raw))
    with pytest.raises(DatasetError, match=match) as error:
        load_coco(tmp_path / 'x.json')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('form', 'said'),
    [
        (lambda x, y, w, h: [x, y, x + w, y + h], 'x1, y1, x2, y2'),
        (lambda x, y, w, h: [x + w / 2, y + h / 2, w, h], 'centre x'),
        (lambda x, y, w, h: [x / 4, y / 3, w / 4, h / 3], 'percent'),
        (lambda x, y, w, h: [x, y, w, h], None),
    ],
)
def test_form_of_boxes_is_guessed(form: Callable, said: str | None) -> None:
    boxes = [(10, 10, 60, 80), (340, 200, 60, 90), (200, 230, 80, 70), (100, 120, 30, 40)]
    raw = content(
        images=[{'id': 1, 'file_name': '1.jpg', 'width': 400, 'height': 300}],
        annotations=[
            {'id': i, 'image_id': 1, 'category_id': 1, 'bbox': form(*box)}
            for i, box in enumerate(boxes, 1)
        ],
    )
    guess = clean_coco(raw, 'x.json').counts().form
    assert guess is None if said is None else said in str(guess)


@pytest.mark.parametrize(
    'encode',
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode('utf-16'),
        lambda text: text.encode('utf-16-le'),
        lambda text: text.encode('utf-16-be'),
        lambda text: text.encode('utf-32'),
        lambda text: text.encode('utf-8') + b'\n\n',
    ],
)
def test_encodings(tmp_path: Path, encode: Callable[[str], bytes]) -> None:
    (tmp_path / 'x.json').write_bytes(encode(json.dumps(content())))
    assert read_coco(tmp_path / 'x.json').content == content()


@pytest.mark.parametrize(
    ('raw', 'match'),
    [
        (content(categories=['lsil']), r"categories\[0\] lacks id, name.*found 'lsil'"),
        (content(categories=[{'id': 1, 'name': False}]), r'categories\[0\] has the name False'),
        (content(categories=[{'id': 1, 'name': 'a\nb'}]), 'text of one line'),
        (content(categories=[{'id': [1], 'name': 'a'}]), r'categories\[0\] has the id \[1\]'),
        (content(annotations=[None]), r'annotations\[0\] lacks image_id.*found None'),
        (content(annotations={'1': {}}), "no list 'annotations'"),
        (content(images=[{'id': 1, 'file_name': 5, 'width': 9, 'height': 9}]), 'file_name 5'),
        (content(images=[{'id': 1, 'file_name': 'a', 'width': 'x', 'height': 9}]), 'width or h'),
        (content(images=[{'id': 1, 'file_name': 'a', 'width': None, 'height': 9}]), 'width or h'),
        *(
            (content(images=[{'id': 1, 'file_name': 'a', 'width': w, 'height': 9}]), 'width or h')
            for w in (0, -3, True, [9], float('nan'), float('inf'), 10**400, 'nan', '')
        ),
        *(
            (content(images=[{'id': i, 'file_name': 'a', 'width': 9, 'height': 9}]), 'has the id')
            for i in (None, True, 1.5, float('nan'), float('inf'), '', ' ', {}, [1])
        ),
        (
            content(
                images=[{'id': i, 'file_name': 'a', 'width': 9, 'height': 9} for i in (1, '1')]
            ),
            '1 ids occur twice in images',
        ),
        (
            content(categories=[{'id': i, 'name': n} for i, n in enumerate(('a', ' a'))]),
            '1 names occur twice in categories',
        ),
        (content(images=[{'id': 1, 'file_name': ' ', 'width': 9, 'height': 9}]), "file_name ' '"),
        ([{'data': {}, 'annotations': []}], "looks like Label Studio's own format"),
        ({'shapes': [], 'imagePath': 'a'}, "labelme's own format"),
        ({'a.png9': {'filename': 'a.png', 'regions': []}}, "VIA's own format"),
        ([{'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4]}], 'looks like results, the det'),
        ({'_via_img_metadata': {}}, "VIA's own format"),
        ({'type': 'FeatureCollection', 'features': []}, "QuPath's own format"),
        (7, "no list 'images'"),
    ],
)
def test_records_of_another_type_are_one_line(raw: Any, match: str) -> None:
    with pytest.raises(DatasetError, match=match) as error:
        clean_coco(raw, 'x.json')
    assert '\n' not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    ('ids', 'of_boxes', 'match'),
    [
        ((1, 2, 3), (0, 0, 1), 'ids 1 to 3, but boxes the category_id 0, and none 3.* add 1 to'),
        ((0, 1, 2), (1, 2, 3), 'ids 0 to 2, but boxes the category_id 3, and none 0.* add -1 to'),
        ((1, 2, 3), (0, 1, 3), None),  # both ends: a class that is not named
        ((1, 2, 3), (1, 2, 9), None),
        ((1, 5, 9), (0, 1, 5), None),
    ],
)
def test_classes_that_are_counted_from_another_number(
    ids: tuple[int, ...], of_boxes: tuple[int, ...], match: str | None
) -> None:
    """Boxes of most classes would be of the class beside their own."""
    raw = content()
    for category, number in zip(raw['categories'], ids, strict=True):
        category['id'] = number
    for annotation, number in zip(raw['annotations'], of_boxes, strict=True):
        annotation['category_id'] = number
    if match is None:
        assert clean_coco(raw, 'x.json').counts().num_lost == 1
        return
    with pytest.raises(DatasetError, match=match):
        clean_coco(raw, 'x.json')


def test_records_of_one_file_that_differ() -> None:
    raw = content()
    raw['images'][1].update(file_name='1.jpg', width=50)
    with pytest.raises(DatasetError, match=r"file_name '1.jpg', with another width: give each"):
        clean_coco(raw, 'x.json')


@pytest.mark.parametrize('form', ['NFC', 'NFD'])
def test_accents_are_of_one_form(form: str) -> None:
    """Two ways to write one name, which no screen tells apart."""
    names = ('koilocyte \u00e0 noyau', 'cellule \u00e9pith\u00e9liale', 'scc')
    categories = [{'id': i, 'name': unicodedata.normalize(form, n)} for i, n in enumerate(names, 1)]
    file = clean_coco(content(categories=categories), 'x.json')
    assert tuple(c['name'] for c in file.content['categories']) == names
    assert bool(file.mended) == (form == 'NFD')
    asked = [unicodedata.normalize('NFD', name) for name in names]
    _, wrong = missing_classes(asked, names, may_lack=False)
    assert wrong is not None and wrong.count('is spelt') == 2


def test_what_is_no_regular_file_ends_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe.json')
    for path in (tmp_path / 'pipe.json', Path('/dev/zero'), tmp_path):
        with pytest.raises(DatasetError, match='not a regular file'):
            read_coco(path)
    (tmp_path / 'deep.json').write_text('[' * 200_000)
    with pytest.raises(DatasetError, match='not JSON'):
        read_coco(tmp_path / 'deep.json')


@pytest.mark.parametrize(
    ('data', 'match'),
    [
        (b'', "x.json' is empty"),
        (gzip.compress(b'{}', mtime=0), "x.json' is packed: unpack it"),
        (b'PK\x03\x04rest', 'is packed'),
        (b'<!DOCTYPE html><html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1', 'is a pointer of Git LFS'),
    ],
)
def test_what_lies_there_instead_is_named(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / 'x.json').write_bytes(data)
    with pytest.raises(DatasetError, match=match):
        read_coco(tmp_path / 'x.json')


@pytest.mark.parametrize('address', ['nowhere://x.json', 'a://b://x.json'])
def test_addresses_of_no_backend(address: str) -> None:
    with pytest.raises(DatasetError, match='no file backend of mmengine knows'):
        read_coco(address)


def test_classes_of_set_and_file() -> None:
    assert missing_classes(('a', 'b'), ('b', 'a'), may_lack=False) == ([], None)
    assert missing_classes(('a', 'b'), ('b',), may_lack=True) == (['a'], None)
    assert missing_classes(('a', 'b'), ('b',), may_lack=False) == (['a'], '')
    assert missing_classes(('a', 'b'), ('c',), may_lack=True)[1] == ''
    assert missing_classes(('a', 'ASC-US'), ('a', 'ascus'), True)[1] == (
        "'ASC-US' is spelt 'ascus' there"
    )
    truth = index_truth(content(), 'x')
    assert label_names(truth, ('scc', 'lsil', 'hsil')) == ['scc', 'lsil', 'hsil']
    with pytest.raises(ResultsError, match='annotations lack'):
        label_names(truth, ('lsil', 'RBC'))


def test_truth_is_what_the_records_hold() -> None:
    box = {'bbox': [1, 2, 11, 22], 'bbox_label': 1, 'ignore_flag': 0}
    records = [
        {'img_id': 4, 'img_path': 'a/4.jpg', 'width': 50, 'height': 40, 'instances': [box]},
        {'img_id': 2, 'instances': [{**box, 'ignore_flag': 1}, {**box, 'ignore_flag': 0.4}]},
    ]
    truth = truth_of_records(records, ('a', 'b'), 'val')
    assert [c['id'] for c in truth.dataset['categories']] == [0, 1]
    assert [(a['image_id'], a['bbox'], a['area'], a['iscrowd']) for a in truth.anns.values()] == [
        (4, [1, 2, 10, 20], 200, 0),
        (2, [1, 2, 10, 20], 200, 1),
    ]
    with pytest.raises(DatasetError, match='1 ids occur twice in images'):
        truth_of_records([records[0]] * 2, ('a', 'b'), 'val')
