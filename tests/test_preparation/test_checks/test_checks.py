"""Each check of a set: the fault is planted, and must be found; a clean set must pass."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from ldwsccd_mmdet.datasets.coco_json import clean_coco
from ldwsccd_mmdet.datasets.files import image_size
from ldwsccd_mmdet.errors import ConfigError, ImageFileError
from ldwsccd_mmdet.preparation.checks import Finding
from ldwsccd_mmdet.preparation.checks.annotations import (
    check_boxes,
    check_classes,
    check_images_and_ids,
    check_labels,
    check_overlaps,
    good_boxes,
)
from ldwsccd_mmdet.preparation.checks.duplicates import check_duplicates, near_duplicate_pairs
from ldwsccd_mmdet.preparation.checks.examine import examine, read_split
from ldwsccd_mmdet.preparation.checks.images import check_image_files, scan_image, scan_images
from ldwsccd_mmdet.preparation.checks.priors import (
    best_prior_iou,
    check_priors,
    fit_priors,
    prior_settings,
    scale_boxes,
)

SSD512 = {
    'type': 'SSDAnchorGenerator',
    'scale_major': False,
    'input_size': 512,
    'basesize_ratio_range': (0.1, 0.9),
    'strides': [8, 16, 32, 64, 128, 256, 512],
    'ratios': [[2], [2, 3], [2, 3], [2, 3], [2, 3], [2], [2]],
}


def coco(boxes=(), classes=('a', 'b'), num_images=2):
    """A content; each of ``boxes`` is image id, category id and x, y, w, h."""
    return {
        'images': [
            {'id': i, 'file_name': f'{i}.jpg', 'width': 100, 'height': 80}
            for i in range(1, num_images + 1)
        ],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(classes, 1)],
        'annotations': [
            {'id': i, 'image_id': image, 'category_id': category, 'bbox': bbox}
            for i, (image, category, bbox) in enumerate(boxes, 1)
        ],
    }


CLEAN = coco([(1, 1, [5, 5, 20, 20]), (2, 2, [30, 30, 20, 20])])


def found(findings: list[Finding]) -> dict[str, int]:
    return {finding.check: len(finding.items) for finding in findings}


def test_clean_set_has_no_finding():
    for check in (check_images_and_ids, check_classes, check_boxes, check_overlaps):
        assert check(CLEAN) == []


# -- ids and classes


def test_images_and_ids():
    content = coco([(1, 1, [5, 5, 9, 9]), (9, 1, [5, 5, 9, 9]), (1, 7, [5, 5, 9, 9])], num_images=3)
    content['images'][2]['file_name'] = '1.jpg'
    findings = check_images_and_ids(content)
    assert found(findings) == {
        'file-twice': 1,
        'box-of-no-image': 1,
        'box-of-no-class': 1,
        'image-without-boxes': 2,
    }
    assert findings[1].items[0]['annotation'] == 2 and findings[2].items[0]['annotation'] == 3
    assert [a['id'] for a in good_boxes(content)] == [1]


def test_class_ids_and_names():
    content = coco([(1, 1, [5, 5, 9, 9])] * 40 + [(1, 2, [5, 5, 9, 9])], ('ASC-H', 'asch', 'hsil'))
    content['categories'][2]['id'] = 9
    by_check = {f.check: f for f in check_classes(content)}
    assert set(by_check) == {'class-id-gaps', 'class-names', 'class-empty', 'class-imbalance'}
    assert "'ASC-H' and 'asch'" in by_check['class-names'].message
    assert 'no box of hsil' in by_check['class-empty'].message
    assert 'ASC-H has 40 boxes, asch 1: 40 times' in by_check['class-imbalance'].message


def test_classes_of_splits_must_agree():
    other = coco(classes=('b', 'a'))
    findings = check_classes(CLEAN, {'val.json': other, 'test.json': CLEAN})
    assert [(f.check, f.level) for f in findings] == [('class-order', 'note')]
    assert 'val.json has the classes b, a, this file a, b' in findings[0].message


def labels_of(edit):
    content = coco([(1, 1, [5, 5, 20, 20]), (2, 2, [30, 30, 20, 20]), (2, 2, [60, 9, 12, 20])])
    for annotation in content['annotations']:
        annotation.update({'iscrowd': 0, 'area': 400, **edit(annotation)})
    return {finding.check: finding for finding in check_labels(clean_coco(content, 'x.json'))}


def test_labels_of_a_set():
    assert labels_of(lambda a: {}) == {}
    crowd = labels_of(lambda a: {'iscrowd': 1})
    assert crowd['labels-none'].level == 'error' and 'iscrowd' in crowd['labels-none'].message
    other = labels_of(lambda a: {'image_id': 'x'})
    assert 'belong to no image' in other['labels-none'].message
    lost = labels_of(lambda a: {'bbox': [1, 2, 0, 9]} if a['id'] == 1 else {})
    assert set(lost) == {'labels-lost'} and lost['labels-lost'].message.startswith('33% of')
    part = labels_of(lambda a: {'bbox': [v / 100 for v in a['bbox']]})
    assert 'fractions of the image' in part['box-form'].message
    text = labels_of(lambda a: {'iscrowd': '0', 'image_id': str(a['image_id'])})
    assert set(text) == {'file-mended'} and text['file-mended'].level == 'note'


# -- boxes


@pytest.mark.parametrize(
    ('bbox', 'check'),
    [
        ([5, 5, 0, 9], 'box-no-area'),
        ([5, 5, 9, 0.5], 'box-no-area'),
        ([5, 5, -3, 9], 'box-negative'),
        ([5, math.nan, 3, 9], 'box-not-finite'),
        ([5, 5, 3], 'box-not-finite'),
        ([100, 5, 9, 9], 'box-outside'),
        ([-30, 5, 20, 9], 'box-outside'),
        ([95, 5, 20, 9], 'box-partly-outside'),
        ([0, 0, 100, 70], 'box-huge'),
    ],
)
def test_faults_of_boxes(bbox, check):
    findings = check_boxes(coco([(1, 1, [5, 5, 20, 20]), (2, 1, bbox)]))
    assert found(findings) == {check: 1}
    assert findings[0].items[0]['image'] == '2.jpg' and findings[0].items[0]['annotation'] == 2


def test_cells_boxed_twice():
    boxes = [
        (1, 1, [5, 5, 20, 20]),
        (1, 1, [5, 5, 20, 20.5]),
        (1, 2, [5, 5, 20, 20]),
        (1, 1, [10, 10, 20, 20]),
        (2, 1, [5, 5, 20, 20]),
    ]
    # 3 repeats 1 and 2, each of another class: two pairs
    assert found(check_overlaps(coco(boxes))) == {'box-twice': 1, 'box-two-classes': 2}
    crowd = coco(boxes[:2])
    crowd['annotations'][1]['iscrowd'] = 1
    assert check_overlaps(crowd) == []


# -- image files


def smear(seed: int, width: int = 320, height: int = 240) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.uniform(90, 240, (6, 8, 3)).astype(np.float32)
    return cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)


def write(path: Path, picture: np.ndarray, *options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture, options)
    return path


def test_image_files(tmp_path):
    good = write(tmp_path / '1.jpg', smear(1))
    data = good.read_bytes()
    (tmp_path / '2.jpg').write_bytes(data[: len(data) // 2])
    (tmp_path / '3.jpg').write_bytes(b'no image at all')
    (tmp_path / '4.jpg').write_bytes(b'')
    write(tmp_path / '6.png', smear(2, 40, 20))
    (tmp_path / '7.png').write_bytes((tmp_path / '6.png').read_bytes()[:-20])
    names = ['1.jpg', '2.jpg', '3.jpg', '4.jpg', '5.jpg', '6.png', '7.png']
    scans = scan_images([tmp_path / name for name in names])
    faults = [None, 'truncated', 'unreadable', 'unreadable', 'missing', None, 'truncated']
    assert [scan.fault for scan in scans] == faults
    assert scans[0].size == (320, 240) and scans[5].size == (40, 20)
    assert scans[0].thumbnail.shape == (32, 32)
    records = [{'file_name': name, 'width': 320, 'height': 240} for name in names]
    findings = check_image_files(records, scans)
    assert found(findings) == {
        'image-missing': 1,
        'image-unreadable': 2,
        'image-truncated': 2,
        'image-size': 1,
    }
    assert {f.level for f in findings} == {'error'}
    (item,) = findings[-1].items
    assert 'another picture' in item.pop('why')
    assert item == {'image': '6.png', 'in the file': [320, 240], 'in truth': [40, 20]}


def test_size_is_the_one_that_mmcv_loads(tmp_path):
    """A camera's turned photograph: EXIF says so, and OpenCV turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (50, 30)).save(tmp_path / '1.jpg', exif=exif)
    height, width = cv2.imread(str(tmp_path / '1.jpg')).shape[:2]
    assert scan_image(tmp_path / '1.jpg').size == image_size(tmp_path / '1.jpg') == (width, height)
    assert (width, height) == (30, 50)
    record = {'file_name': '1.jpg', 'width': 50, 'height': 30}
    finding, turned = check_image_files([record], [scan_image(tmp_path / '1.jpg')])
    assert (turned.check, turned.level) == ('image-turned', 'note')
    assert '1 of them with width and height exchanged' in finding.message
    (tmp_path / '2.jpg').write_bytes(b'x')
    with pytest.raises(ImageFileError, match='2.jpg.*cannot be read as an image'):
        image_size(tmp_path / '2.jpg')


def test_depth_and_pages(tmp_path):
    """12 bits in 16 are read nearly black; of a stack only the first plane is read."""
    values = np.arange(4000, dtype=np.uint16).reshape(50, 80)
    write(tmp_path / '1.png', values)
    write(tmp_path / '2.png', values * 16)
    planes = [Image.new('L', (80, 50))] * 3
    planes[0].save(tmp_path / '3.tif', save_all=True, append_images=planes[1:])
    names = ['1.png', '2.png', '3.tif']
    scans = scan_images([tmp_path / name for name in names])
    findings = check_image_files([dict(file_name=n, width=80, height=50) for n in names], scans)
    items = {f.check: [item['image'] for item in f.items] for f in findings}
    assert items == {'image-bit-depth': ['1.png'], 'image-pages': ['3.tif']}
    assert {f.level for f in findings} == {'warning'}


def test_no_pipe_and_no_device_is_opened(tmp_path):
    os.mkfifo(tmp_path / '1.jpg')
    (tmp_path / '2.jpg').symlink_to('/dev/zero')
    (tmp_path / '3.jpg').mkdir()
    (tmp_path / '4.jpg').symlink_to(tmp_path / '4.jpg')
    scans = scan_images([tmp_path / f'{i}.jpg' for i in range(1, 6)])
    assert [scan.fault for scan in scans] == ['unreadable'] * 4 + ['missing']


# -- duplicates


def test_duplicates_within_and_across_splits(tmp_path):
    copies = {
        'train: a': smear(1),
        'train: a again': smear(1),
        'val: a too': smear(1),
        'train: b': smear(2),
        'train: c': smear(3),
        'train: blank': smear(4) * 0 + 200,
        'val: blank': smear(4) * 0 + 201,
        # the same field, scaled, brighter, turned, mirrored
        'val: b small': cv2.resize(smear(2), (160, 120)),
        'train: c bright': smear(3) * 0.8 + 40,
        'val: d': smear(5),
        'train: d': cv2.rotate(smear(5), cv2.ROTATE_90_CLOCKWISE),
        'test: d': smear(5)[:, ::-1],
    }
    paths = [write(tmp_path / f'{i}.jpg', p) for i, p in enumerate(copies.values())]
    splits, files = zip(*(name.split(': ') for name in copies), strict=True)
    findings = check_duplicates(files, scan_images(paths), splits)
    groups = {f.check: [item['images'] for item in f.items] for f in findings}
    assert groups == {
        'duplicate-exact-across': [['train: a', 'train: a again', 'val: a too']],
        'duplicate-near-across': [['train: b', 'val: b small'], ['val: d', 'train: d', 'test: d']],
        'duplicate-near-within': [['train: c', 'train: c bright']],
    }
    assert {f.check: f.level for f in findings}['duplicate-exact-across'] == 'error'


def test_near_duplicates_in_all_eight_positions():
    base = smear(1, 32, 32).mean(-1)
    turns = [np.rot90(m, k) for m in (base, base[:, ::-1]) for k in range(4)]
    others = [smear(seed, 32, 32).mean(-1) for seed in range(2, 30)]
    pairs = near_duplicate_pairs(np.stack([base, *turns, *others]))
    assert {tuple(pair) for pair in pairs.tolist() if pair[0] == 0} == {(0, i) for i in range(1, 9)}
    assert pairs.max() <= 8
    assert near_duplicate_pairs(np.zeros((3, 32, 32))).shape == (0, 2)
    assert near_duplicate_pairs(np.stack(others)).shape == (0, 2)


# -- priors


def brute_force(boxes, anchors, strides, input_size):
    best = np.zeros(len(boxes))
    for level, (sx, sy) in zip(anchors, strides, strict=True):
        for j in range(math.ceil(input_size[1] / sy)):
            for i in range(math.ceil(input_size[0] / sx)):
                for x1, y1, x2, y2 in level + np.array([i * sx, j * sy, i * sx, j * sy]):
                    for k, (x, y, w, h) in enumerate(boxes):
                        cw, ch = min(x2, x + w) - max(x1, x), min(y2, y + h) - max(y1, y)
                        common = max(cw, 0) * max(ch, 0)
                        total = (x2 - x1) * (y2 - y1) + w * h
                        best[k] = max(best[k], common / (total - common))
    return best


def test_best_prior_is_the_best_of_all_positions():
    rng = np.random.default_rng(0)
    low = rng.uniform(-10, 60, (30, 2))
    boxes = np.hstack([low, rng.uniform(3, 60, (30, 2))])
    anchors = [np.array([[0.0, 0, 8, 8], [-4, 0, 12, 8]]), np.array([[-12.0, -12, 28, 28]])]
    strides = [(8, 8), (16, 16)]
    placed, centred = best_prior_iou(boxes, anchors, strides, (64, 48))
    np.testing.assert_allclose(placed, brute_force(boxes, anchors, strides, (64, 48)))
    assert (centred >= placed - 1e-12).all()


def test_boxes_are_scaled_as_resize_does():
    box, sizes = np.array([[10.0, 20, 30, 40]] * 2), np.array([[100.0, 50], [50, 100]])
    np.testing.assert_allclose(
        scale_boxes(box, sizes, (200, 200), False), [[20, 80, 60, 160], [40, 40, 120, 80]]
    )
    np.testing.assert_allclose(scale_boxes(box, sizes, (200, 120), True), box * 2)


def fit(boxes, size=512, **kwargs):
    boxes = np.asarray(boxes, float)
    sizes = np.full((len(boxes), 2), 512.0)
    return fit_priors(boxes, sizes, SSD512, (size, size), **kwargs)


def test_each_reason_why_no_prior_matches():
    result, matched = fit(
        [
            [100, 100, 20.4, 20.4],  # the smallest prior
            [100, 100, 5, 5],  # smaller
            [0, 200, 500, 60],  # 8 to 1
            [200, 200, 12, 18],  # fits the smallest, were it not between two positions
        ]
    )
    assert matched.tolist() == [True, False, False, False]
    assert (result.too_small, result.too_large, result.too_long, result.off_grid) == (1, 0, 1, 1)


def test_small_boxes_ask_for_more_pixels_or_smaller_priors():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 480, (200, 2))
    boxes = np.hstack([low, rng.uniform(8, 11, (200, 2))])
    result, matched = fit(boxes)
    assert result.matched < 0.2
    assert result.suggested_size > 512 and result.by_size[result.suggested_size] > 0.95
    assert result.suggested_matched > result.matched and result.suggested_sizes[0] < 12
    (finding,) = check_priors(result, matched, [{'image': 'x'}] * 200)
    assert finding.level == 'warning' and len(finding.items) == (~matched).sum()
    assert 'min_sizes=[' in finding.remedy and 'an input of' in finding.remedy
    assert check_priors(result, np.ones(200, bool), [{}] * 200) == []


def test_prior_settings_of_a_config():
    resize = {'type': 'Resize', 'scale': (300, 200), 'keep_ratio': True}
    config = Config(
        {
            'model': {'bbox_head': {'anchor_generator': SSD512}},
            'test_dataloader': {'dataset': {'pipeline': [{'type': 'LoadImageFromFile'}, resize]}},
        }
    )
    generator, size, keep_ratio = prior_settings(config)
    assert generator['type'] == 'SSDAnchorGenerator' and (size, keep_ratio) == ((300, 200), True)
    del config.test_dataloader.dataset.pipeline[1]
    with pytest.raises(ConfigError, match='no Resize'):
        prior_settings(config)
    with pytest.raises(ConfigError, match='no anchor_generator'):
        prior_settings(Config({'model': {'bbox_head': {}}}))


# -- all together


def test_examine(tiny_coco):
    def edit(content):
        content['annotations'][0]['bbox'][2] = 0
        content['images'][1]['width'] = 7

    root = tiny_coco(edit=edit)
    tiny_coco('val', num_images=2)
    (root / 'images' / 'val_1.jpg').write_bytes((root / 'images' / 'train_1.jpg').read_bytes())
    result = examine(read_split(root / 'train.json'), [read_split(root / 'val.json')])
    checks = [finding.check for finding in result.findings]
    assert {'box-no-area', 'image-size', 'duplicate-exact-across'} <= set(checks)
    assert result.findings[0].level == 'error' and result.count('error') >= 2
    assert sum(row['boxes'] for row in result.classes.values()) < 8
    assert json.loads(json.dumps(result.as_dict()))['images'] == 4
