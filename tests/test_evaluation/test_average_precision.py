import numpy as np
import pytest
from pycocotools.coco import COCO

from ldwsccd_mmdet.evaluation import Detections, average_precision

# ids neither from 0 nor in order: the label is the place in the file, not the id
CATEGORIES = [{'id': 7, 'name': 'hsil'}, {'id': 3, 'name': 'flora'}, {'id': 5, 'name': 'scc'}]


def annotated(boxes_by_image):
    coco = COCO()
    coco.dataset = {
        'images': [{'id': i, 'file_name': f'{i}.png'} for i in boxes_by_image],
        'categories': CATEGORIES,
        'annotations': [],
    }
    for image_id, boxes in boxes_by_image.items():
        for category_id, (x1, y1, x2, y2) in boxes:
            width, height = x2 - x1, y2 - y1
            coco.dataset['annotations'].append(
                {
                    'id': len(coco.dataset['annotations']) + 1,
                    'image_id': image_id,
                    'category_id': category_id,
                    'bbox': [x1, y1, width, height],
                    'area': width * height,
                    'iscrowd': 0,
                }
            )
    coco.createIndex()
    return coco


def detections(*rows):
    table = np.array(rows, float).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))


def test_known_values():
    truth = annotated(
        {
            1: [(7, (10, 10, 30, 30)), (7, (50, 50, 70, 70)), (3, (80, 10, 99, 29))],
            4: [(7, (5, 5, 25, 25)), (7, (40, 40, 60, 60))],
        }
    )
    predictions = {
        # in this order: a hit of hsil, a wrong class on flora, a shifted hsil of IoU 1/3
        1: detections(
            (10, 10, 30, 30, 0.9, 0), (80, 10, 99, 29, 0.8, 2), (60, 50, 80, 70, 0.7, 0)
        ),
        4: detections((5, 5, 25, 25, 0.6, 0)),
    }
    result = average_precision(truth, predictions)

    assert result.classes == ('hsil', 'flora', 'scc')
    assert result.num_truths.tolist() == [4, 1, 0]
    # hsil: hits at rank 1 and 3 of 4 truths: precision 1 up to recall .25, 2/3 up to .5, then 0;
    # of 101 recall points 26 are <= .25 and 25 more are <= .5
    assert result.ap[0] == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert result.ap[1] == 0
    assert np.isnan(result.ap[2])
    assert result.mean == pytest.approx(result.ap[0] / 2)
    assert result.matched[1].tolist() == [True, False, False]
    assert result.matched[4].tolist() == [True]
    assert result.found == {1: 0.9, 4: 0.6}


def test_overlap_counts_from_iou_thr():
    truth = annotated({1: [(7, (0, 0, 10, 10))]})
    predictions = {1: detections((0, 0, 10, 6, 0.9, 0))}  # IoU .6
    assert average_precision(truth, predictions, iou_thr=0.5).mean == pytest.approx(1)
    assert average_precision(truth, predictions, iou_thr=0.7).mean == 0


def test_no_detection_at_all():
    truth = annotated({1: [(7, (0, 0, 10, 10))], 2: []})
    result = average_precision(truth, {1: detections(), 2: detections()})
    assert result.mean == 0
    assert [len(result.matched[i]) for i in (1, 2)] == [0, 0]


def test_no_truth_at_all():
    result = average_precision(annotated({1: []}), {1: detections((0, 0, 9, 9, 0.5, 1))})
    assert np.isnan(result.mean)
    assert result.matched[1].tolist() == [False]


@pytest.mark.parametrize(
    ('predictions', 'message'),
    [
        ({}, '1 of 1 images have no prediction'),
        ({1: detections(), 2: detections()}, '1 predictions have no image'),
        ({1: detections((0, 0, 9, 9, 0.5, 3))}, 'class index 3.*has 3 categories'),
    ],
)
def test_sets_that_do_not_belong_together(predictions, message):
    with pytest.raises(ValueError, match=message):
        average_precision(annotated({1: []}), predictions)
