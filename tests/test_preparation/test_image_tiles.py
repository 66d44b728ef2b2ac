"""Images cut into tiles, and the tool that writes them."""

import copy
import json

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.datasets.bag_audit import audit_bags
from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.image_tiles import cut_tiles
from tests.commands import run

CLASSES = ('lsil', 'hsil', 'scc')


@pytest.fixture
def coco(tiny_coco):
    root = tiny_coco(num_images=6, size=(97, 65), boxes_per_image=3)
    return json.loads((root / 'train.json').read_text())


def by_loop(coco, n):
    """Class names of each tile, and its boxes in pixels of the image, cell by cell."""
    names = {category['id']: category['name'] for category in coco['categories']}
    labels, boxes = [], []
    for image in coco['images']:
        own = [a for a in coco['annotations'] if a['image_id'] == image['id']]
        xs = [round(i * image['width'] / n) for i in range(n + 1)]
        ys = [round(i * image['height'] / n) for i in range(n + 1)]
        for row in range(n):
            for column in range(n):
                here, clipped = set(), []
                for cell in own:
                    x, y, w, h = cell['bbox']
                    inside_x = xs[column] <= x + w / 2 < xs[column + 1]
                    if inside_x and ys[row] <= y + h / 2 < ys[row + 1]:
                        here.add(names[cell['category_id']])
                        left, top = max(x, xs[column]), max(y, ys[row])
                        right, bottom = min(x + w, xs[column + 1]), min(y + h, ys[row + 1])
                        clipped.append([left, top, right - left, bottom - top])
                labels.append(here)
                boxes.append(clipped)
    return labels, boxes


@pytest.mark.parametrize('n', [2, 3, 5])
def test_each_cell_is_in_the_tile_of_its_centre(coco, n):
    before = copy.deepcopy(coco)
    cut = cut_tiles(coco, n)
    assert coco == before
    labels, boxes = by_loop(coco, n)
    assert [image['id'] for image in cut['images']] == list(range(1, len(labels) + 1))
    assert len(cut['annotations']) == len(coco['annotations'])
    names = {category['id']: category['name'] for category in cut['categories']}
    for image, here, expected in zip(cut['images'], labels, boxes, strict=True):
        own = [a for a in cut['annotations'] if a['image_id'] == image['id']]
        assert {names[a['category_id']] for a in own} == here
        dx, dy = image['tile']['x'], image['tile']['y']
        found = [[x + dx, y + dy, w, h] for x, y, w, h in (a['bbox'] for a in own)]
        assert found == expected
        assert all(a['area'] == a['bbox'][2] * a['bbox'][3] for a in own)
    sizes = np.array([[i['width'], i['height']] for i in cut['images'][: n * n]])
    assert sizes.prod(axis=1).sum() == 97 * 65


def test_a_crowd_is_in_every_tile_that_it_overlaps():
    crowd = dict(id=7, image_id=1, category_id=1, bbox=[5, 5, 15, 25], area=375, iscrowd=1)
    coco = {
        'images': [dict(id=1, file_name='a.png', width=40, height=40)],
        'categories': [dict(id=1, name='lsil')],
        'annotations': [crowd],
    }
    cut = cut_tiles(coco, 2)
    # its right edge lies on the cut: nothing of it is beyond
    assert [(a['image_id'], a['bbox']) for a in cut['annotations']] == [
        (1, [5, 5, 15, 15]),
        (3, [5, 0, 15, 10]),
    ]


@pytest.mark.parametrize('n', [1, 17, 2.5, True])
def test_number_of_tiles(coco, n):
    with pytest.raises(ConfigError, match='--tiles: expected a whole number from 2 to 16'):
        cut_tiles(coco, n)


def test_refuses_images_whose_cells_are_not_known(coco):
    gone = [a for a in coco['annotations'] if a['image_id'] != 2]
    # an image without a box and without a label is a negative bag
    assert len(cut_tiles({**coco, 'annotations': gone}, 3)['images']) == 54
    coco['images'][1]['image_label'] = 'scc'
    with pytest.raises(DatasetError, match=r'1 images .* no box \(first train_2\.jpg\)'):
        cut_tiles({**coco, 'annotations': gone}, 3)
    coco['images'][0].update(width=2)
    with pytest.raises(DatasetError, match='2 x 65 px, fewer than 3'):
        cut_tiles(coco, 3)


def test_tool_writes_tiles_that_the_data_set_reads(tiny_coco, capsys):
    root = tiny_coco(num_images=4, size=(96, 64))
    truth = json.loads((root / 'train.json').read_text())
    # no loss of JPEG between a picture and its tiles
    for image in truth['images']:
        picture = cv2.imread(str(root / 'images' / image['file_name']))
        image['file_name'] = image['file_name'].replace('jpg', 'png')
        cv2.imwrite(str(root / 'images' / image['file_name']), picture)
    (root / 'train.json').write_text(json.dumps(truth))
    out = root.parent / 'tiles'
    assert run('weaken', root / 'train.json', '--out', out, '--tiles', 3) == 0
    said = capsys.readouterr().out
    assert '36 images, 36 with image labels alone' in said and 'Share of the tiles' in said
    assert '0 of 8 boxes, 0 of a wrong class' in said
    assert sorted(path.name for path in out.iterdir()) == [
        'images',
        'train.json',
        'train_boxes.json',
    ]
    content = json.loads((out / 'train.json').read_text())
    assert content['info']['weakened']['tiles'] == 3
    assert content['annotations'] == []
    labels, _ = by_loop(truth, 3)
    assert [set(image['image_labels']) for image in content['images']] == labels
    for index, image in enumerate(content['images']):
        whole = cv2.imread(str(root / 'images' / image['tile']['of']))
        x, y = image['tile']['x'], image['tile']['y']
        part = cv2.imread(str(out / 'images' / image['file_name']))
        assert part.shape == (image['height'], image['width'], 3)
        assert (part == whole[y : y + part.shape[0], x : x + part.shape[1]]).all(), index
    boxes = json.loads((out / 'train_boxes.json').read_text())
    assert boxes == cut_tiles(truth, 3)

    dataset = CervicalCellDataset(
        data_root=str(out),
        ann_file='train.json',
        data_prefix={'img': 'images'},
        metainfo={'classes': CLASSES},
        filter_cfg={'filter_empty_gt': True},
    )
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    assert len(infos) == 36 and {info['supervision'] for info in infos} == {'image'}
    audit = audit_bags(infos, CLASSES, regime='image')
    assert not audit.everywhere and audit.empty == sum(not here for here in labels) > 0


def test_tool_writes_all_or_nothing(tiny_coco, capsys):
    root = tiny_coco(num_images=3)
    before = sorted(root.parent.rglob('*'))
    out = root.parent / 'tiles'
    command = ('weaken', root / 'train.json', '--out', out, '--tiles', 3)
    last = root / 'images' / 'train_3.jpg'
    picture = last.read_bytes()
    last.write_bytes(picture[:-20])
    assert run(*command) == 2 and 'cut short' in capsys.readouterr().err
    cv2.imwrite(str(last), np.zeros((64, 90, 3), np.uint8))
    assert run(*command) == 2 and 'in wrong tiles' in capsys.readouterr().err
    last.write_bytes(picture)
    assert run(*command, '--labels', 'record') == 2
    assert 'expected --labels boxes' in capsys.readouterr().err
    assert run(*command, '--images', root / 'nowhere') == 2
    assert 'name their folder with --images' in capsys.readouterr().err
    assert sorted(root.parent.rglob('*')) == before
    out.mkdir()
    assert run(*command) == 2 and 'nothing is overwritten' in capsys.readouterr().err


def test_some_tiles_may_keep_their_boxes(tiny_coco):
    root = tiny_coco(num_images=4)
    out = root.parent / 'tiles'
    command = ('weaken', root / 'train.json', '--out', out, '--tiles', 2, '--mixed', 0.5)
    assert run(*command) == 0
    content = json.loads((out / 'train.json').read_text())
    kinds = [image['supervision'] for image in content['images']]
    assert kinds.count('image') == kinds.count('box') == 8
