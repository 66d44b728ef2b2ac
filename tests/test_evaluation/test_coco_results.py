import json

import numpy as np
import pytest

from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.errors import ResultsError
from ldwsccd_mmdet.evaluation import load_coco_results

TRUTH = index_truth(
    {
        'images': [
            {'id': 31, 'file_name': 'a/0007.png'},
            {'id': 4, 'file_name': 'b.png'},
            {'id': 5, 'file_name': 'c.png'},
        ],
        'categories': [{'id': 7, 'name': 'hsil'}, {'id': 3, 'name': 'flora'}],
        'annotations': [],
    },
    'test',
)


def record(image_id=4, category_id=3, bbox=(1, 2, 10, 20), score=0.5):
    return dict(image_id=image_id, category_id=category_id, bbox=bbox, score=score)


def load(tmp_path, content):
    path = tmp_path / 'results.json'
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return load_coco_results(path, TRUTH)


def test_every_image_has_its_detections_best_first(tmp_path):
    rows = [record(score=0.2), record(31, 7), record(score=0.9, bbox=[0, 0, 3, 4])]
    found = load(tmp_path, rows)
    assert {key: len(value) for key, value in found.items()} == {4: 2, 5: 0, 31: 1}
    np.testing.assert_array_equal(found[4].bboxes, [[0, 0, 3, 4], [1, 2, 11, 22]])
    assert found[4].scores.tolist() == [0.9, 0.2]
    assert found[4].labels.tolist() == [1, 1]  # the place in the file, not the id
    assert found[31].labels.tolist() == [0]


def test_no_detection(tmp_path):
    found = load(tmp_path, [])
    assert sorted(found) == [4, 5, 31] and not any(map(len, found.values()))


@pytest.mark.parametrize('names', [('a/0007.png', 'b.png'), ('0007.png', 'b.png'), (7, 'b')])
def test_images_by_file_name(tmp_path, names):
    """Ultralytics writes the stem, as a number where it is one."""
    found = load(tmp_path, [record(names[0]), record(names[1], score=0.7)])
    assert found[31].scores.tolist() == [0.5] and found[4].scores.tolist() == [0.7]


def test_classes_by_name_and_by_place(tmp_path):
    assert load(tmp_path, [record(category_id='flora')])[4].labels.tolist() == [1]
    with pytest.warns(UserWarning, match='places counted from 0'):
        found = load(tmp_path, [record(category_id=0), record(5, category_id=1)])
    assert (found[4].labels.tolist(), found[5].labels.tolist()) == ([0], [1])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ([record(image_id=9)], r'image_id 9 \(1 of 1\) is not in the annotation file, .* 31, 4, 5'),
        ([record(category_id=1)], 'category_id 1 .* not in the annotation file, which has 7, 3'),
        ([dict(image_id=4)], 'record 0 lacks category_id, bbox, score; expected COCO'),
        ({'images': [], 'annotations': []}, 'found an object with images, annotations'),
        ('[{"image', 'cannot be read as json'),
        ([record(bbox=[1, 2, 3])], 'each bbox must be four numbers'),
        ([record(), record(score=71)], 'record 1 .* a score from 0 to 1'),
        ([record(bbox=[9, 9, -3, 2])], 'record 0 has bbox'),
    ],
)
def test_other_files(tmp_path, content, message):
    with pytest.raises(ResultsError, match=message):
        load(tmp_path, content)


def test_no_file(tmp_path):
    with pytest.raises(ResultsError, match='no predictions at'):
        load_coco_results(tmp_path / 'x.json', TRUTH)
