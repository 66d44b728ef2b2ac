import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.evaluation.predictions import Detections
from ldwsccd_mmdet.preparation.missing_boxes import (
    MAX_PROB,
    box_ious,
    fit_posterior,
    hide_boxes,
    mine_missing_boxes,
)


def world(seed=0, images=400, kept=0.5, hidden=0.2):
    """A set whose truth is known, and a detector that finds cells and background.

    Cells that it learned score near 1; those that it has not learned score as background does on
    average a little less, however many of them have boxes.
    """
    rng = np.random.default_rng(seed)
    coco = {
        'images': [{'id': i, 'file_name': f'{i}.png'} for i in range(images)],
        'categories': [{'id': 3, 'name': 'a'}, {'id': 5, 'name': 'b'}],
        'annotations': [],
    }
    cells = []
    for image in range(images):
        for place in range(6):
            box = [place * 30.0, 0.0, 20.0, 20.0]
            has_box = rng.random() < kept
            cells.append((image, place % 2, box, has_box))
            if has_box:
                coco['annotations'].append(
                    {
                        'id': len(coco['annotations']) + 1,
                        'image_id': image,
                        'category_id': (3, 5)[place % 2],
                        'bbox': box,
                    }
                )
    learned = hide_boxes(coco, hidden, seed)
    known = {(a['image_id'], a['bbox'][0]) for a in learned['annotations']}
    rows = {image: ([], [], []) for image in range(images)}
    is_cell = {}
    for image, label, (x, y, w, h), _ in cells:
        score = 0.9 if (image, x) in known else rng.beta(4, 4)
        boxes, scores, labels = rows[image]
        boxes.append([x, y, x + w, y + h])
        scores.append(score)
        labels.append(label)
        is_cell[image, round(score, 12)] = True
    for image in range(images):  # as much background, at places of its own
        for place in range(6):
            boxes, scores, labels = rows[image]
            boxes.append([place * 30.0, 100.0, place * 30.0 + 20, 120.0])
            scores.append(rng.beta(2, 8))
            labels.append(place % 2)
    predictions = {
        image: Detections(np.array(b), np.array(s), np.array(labels))
        for image, (b, s, labels) in rows.items()
    }
    return coco, learned, predictions, is_cell


@pytest.mark.parametrize('kept', [0.8, 0.5, 0.2])
def test_estimates_how_many_boxes_are_missing_and_which(kept):
    coco, learned, predictions, is_cell = world(kept=kept)
    mined, report = mine_missing_boxes(coco, learned, predictions)
    for row in report:
        assert not row.pooled
        assert row.kept_share == pytest.approx(kept, abs=0.12)
    prob = np.array([a['prob'] for a in mined['annotations']])
    cell = np.array(
        [(a['image_id'], round(a['score'], 12)) in is_cell for a in mined['annotations']]
    )
    assert prob.sum() == pytest.approx(cell.sum(), rel=0.25)
    for low, high in ((0.05, 0.4), (0.4, 0.8), (0.8, 1)):
        chosen = (prob >= low) & (prob < high)
        if chosen.sum() > 100:
            assert prob[chosen].mean() == pytest.approx(cell[chosen].mean(), abs=0.25)


def test_mines_nothing_where_all_cells_have_boxes():
    coco, learned, predictions, _ = world(kept=1.0)
    mined, report = mine_missing_boxes(coco, learned, predictions)
    assert [row.kept_share for row in report] == pytest.approx([1, 1], abs=0.03)
    assert sum(row.expected for row in report) < 0.02 * len(coco['annotations'])


def confused(predictions, share=0.5, seed=0):
    """The same finds, a share of those that it has not learned taken for the other class."""
    rng = np.random.default_rng(seed)
    return {
        image: Detections(
            found.bboxes,
            found.scores,
            np.where(
                (found.scores != 0.9) & (rng.random(len(found.labels)) < share),
                1 - found.labels,
                found.labels,
            ),
        )
        for image, found in predictions.items()
    }


@pytest.mark.parametrize('kept', [1.0, 0.5])
def test_cells_taken_for_another_class_are_not_missing(kept):
    coco, learned, predictions, _ = world(kept=kept)
    wrong = confused(predictions)
    mined, report = mine_missing_boxes(coco, learned, wrong, min_prob=0)
    for row in report:
        assert row.kept_share == pytest.approx(kept, abs=0.1)
    # no find at a box of any class is mined, be it hidden
    boxes = {(a['image_id'], *a['bbox']) for a in coco['annotations']}
    assert not boxes & {(a['image_id'], *a['bbox']) for a in mined['annotations']}
    # half of the finds of a cell are of its class: probabilities say so
    unboxed = 6 * len(coco['images']) - len(boxes)
    expected = sum(row.expected for row in report)
    assert expected == pytest.approx(unboxed / 2, rel=0.3, abs=30)


def test_never_mines_what_has_a_box():
    coco, learned, predictions, _ = world()
    mined, _ = mine_missing_boxes(coco, learned, predictions)
    assert len(mined['annotations']) > 0
    for image in coco['images']:
        boxes, found = (
            np.array([a['bbox'] for a in c['annotations'] if a['image_id'] == image['id']])
            for c in (coco, mined)
        )
        if len(boxes) and len(found):
            boxes[:, 2:] += boxes[:, :2]
            found[:, 2:] += found[:, :2]
            assert box_ious(found, boxes).max() < 0.3
    assert all(0.05 <= a['prob'] <= MAX_PROB for a in mined['annotations'])


def test_a_class_with_few_hidden_boxes_has_the_share_of_all():
    coco, learned, predictions, _ = world(images=30)
    _, report = mine_missing_boxes(coco, learned, predictions, min_hidden=1000)
    assert all(row.pooled for row in report)
    assert report[0].hidden_share == report[1].hidden_share


def test_a_rare_class_of_low_scores_is_judged_by_its_own_scores():
    coco, learned, predictions, is_cell = world(images=300)
    few = {c['id'] for c in coco['categories'][1:]}
    # one in ten images keeps its cells of the rare class, all of which score low
    coco, learned = (
        {
            **labels,
            'annotations': [
                a
                for a in labels['annotations']
                if a['category_id'] not in few or a['image_id'] % 10 == 0
            ],
        }
        for labels in (coco, learned)
    )
    predictions = {
        image: Detections(
            found.bboxes[keep],
            np.where(found.labels == 1, 0.3, 1)[keep] * found.scores[keep],
            found.labels[keep],
        )
        for image, found in predictions.items()
        for keep in [(found.labels == 0) | (image % 10 == 0)]
    }
    cells = {(image, round(score * 0.3, 9)) for image, score in is_cell}
    mined, report = mine_missing_boxes(coco, learned, predictions, min_hidden=50)
    assert [row.pooled for row in report] == [False, True]
    assert report[0].hidden_share == pytest.approx(report[1].hidden_share, rel=0.2)
    rare = [a for a in mined['annotations'] if a['category_id'] in few]
    true = sum((a['image_id'], round(a['score'], 9)) in cells for a in rare)
    assert true > 20
    assert report[1].expected == pytest.approx(true, rel=0.5)


def test_a_class_that_found_no_hidden_box_mines_nothing():
    coco, learned, predictions, _ = world(images=30)
    kept = {a['id'] for a in learned['annotations']}
    rare = coco['categories'][1]['id']
    coco['annotations'] = [
        a for a in coco['annotations'] if a['id'] in kept or a['category_id'] != rare
    ]
    mined, report = mine_missing_boxes(coco, learned, predictions)
    assert (report[1].found, report[1].mined, report[1].expected) == (0, 0, 0)
    assert 0 < report[1].hidden_share < 1
    assert all(a['category_id'] != rare for a in mined['annotations'])


def test_posterior_by_hand():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    hit = np.array([0, 0, 0, 1, 0, 1, 0, 1], bool)
    posterior = fit_posterior(scores, hit, min_hidden=3)
    assert posterior.own(scores).tolist() == posterior.any(scores).tolist()
    # the third hit is the fifth best find
    assert posterior.hidden_share == pytest.approx(2 / 4)
    cell = posterior.cell(np.array([0.05, 0.45, 0.95]))
    # 0.4 to 0.7 are one block, of which half are hits
    assert cell == pytest.approx([0, 0.45 / 0.55, 1], abs=0.2)
    e, p = 0.5, float(posterior.cell(np.array([0.5]))[0])
    assert posterior.unhidden_cell(np.array([0.5]))[0] == pytest.approx((1 - e) * p / (1 - e * p))


def test_posterior_of_a_class_that_is_taken_for_another():
    scores = np.linspace(0.1, 0.8, 8)
    hit = np.array([0, 0, 0, 0, 0, 1, 0, 1], bool)
    met = np.array([0, 0, 0, 1, 1, 1, 0, 1], bool)
    posterior = fit_posterior(scores, hit, met, min_hidden=4)
    assert posterior.hidden_share == pytest.approx(3 / 4)  # the fourth is the fifth best find
    # from 0.4 to 0.7 three of four meet a hidden box, one of them of its class; at 0.8 all do
    s = np.array([0.65, 0.8])
    assert posterior.any(s) == pytest.approx([0.75, 0.75])
    assert posterior.own(s) == pytest.approx([0.5, 0.75])
    assert posterior.cell(s) == pytest.approx([0.5 / 0.75, 1])
    assert posterior.unhidden_cell(s) == pytest.approx([0.25 * (0.5 / 0.75) / 0.25, 1])


def test_a_known_share_is_the_top():
    scores, hit = np.linspace(0, 1, 40), np.arange(40) % 4 == 0
    posterior = fit_posterior(scores, hit, hidden_share=0.5)
    assert posterior.hidden_share == 0.5
    # a quarter of the finds meets a hidden box, half of the cells are hidden: half are cells
    assert posterior.cell(np.array([0.5]))[0] == pytest.approx(0.5, abs=0.15)


def test_blind_finds_do_not_tell_hidden_boxes_from_others():
    coco, learned, predictions, is_cell = world()
    blind, report = mine_missing_boxes(coco, learned, predictions, min_prob=0, blind=True)
    mined, _ = mine_missing_boxes(coco, learned, predictions, min_prob=0)
    found = {(a['image_id'], a['score']): a['prob'] for a in blind['annotations']}
    assert set(found) > {(a['image_id'], a['score']) for a in mined['annotations']}
    assert len(found) - len(mined['annotations']) >= sum(row.found for row in report)
    prob = np.array(list(found.values()))
    cell = np.array([(image, round(score, 12)) in is_cell for image, score in found])
    assert prob.sum() == pytest.approx(cell.sum(), rel=0.15)


def test_a_second_round_keeps_the_share_of_the_first():
    coco, learned, predictions, _ = world()
    _, first = mine_missing_boxes(coco, learned, predictions)
    shares = {row.name: row.hidden_share for row in first}
    # a second detector that learned half of the background as cells: no top is all cells
    rng = np.random.default_rng(1)
    fooled = {
        image: Detections(
            found.bboxes,
            np.where(found.bboxes[:, 1] >= 100, rng.random(len(found.scores)), found.scores),
            found.labels,
        )
        for image, found in predictions.items()
    }
    _, second = mine_missing_boxes(coco, learned, fooled, hidden_shares=shares)
    _, guessed = mine_missing_boxes(coco, learned, fooled)
    for one, two, guess in zip(first, second, guessed, strict=True):
        assert two.hidden_share == one.hidden_share
        assert guess.hidden_share < one.hidden_share - 0.02


def test_without_a_hit_nothing_is_a_cell():
    posterior = fit_posterior(np.array([0.2, 0.4]), np.zeros(2, bool))
    assert posterior.cell(np.array([0.3])).tolist() == [0]
    assert posterior.kept_share(0.2) == 1


def test_hides_a_share_of_each_class():
    coco, *_ = world(images=50)
    left = hide_boxes(coco, 0.25, 1)
    for category in (3, 5):
        before, after = (
            sum(a['category_id'] == category for a in c['annotations']) for c in (coco, left)
        )
        assert after == before - round(0.25 * before)
    assert hide_boxes(coco, 0.25, 1) == left
    assert hide_boxes(coco, 0.25, 2) != left


def test_refuses_what_cannot_be_used():
    coco, learned, predictions, _ = world(images=5)
    with pytest.raises(ConfigError, match='between 0 and 1'):
        hide_boxes(coco, 0)
    with pytest.raises(DatasetError, match='0 of'):
        mine_missing_boxes(coco, coco, predictions)
    del predictions[3]
    with pytest.raises(DatasetError, match=r'first 3\.png'):
        mine_missing_boxes(coco, learned, predictions)
