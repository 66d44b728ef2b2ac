"""How many cells have no box, as the doctor says it."""

import json
import pickle

import numpy as np
import pytest

from ldwsccd_mmdet.errors import DatasetError
from ldwsccd_mmdet.evaluation.predictions import Detections
from ldwsccd_mmdet.preparation.checks.missing_cells import estimate_missing, find_mining
from ldwsccd_mmdet.preparation.missing_boxes import mine_missing_boxes
from tests.commands import run
from tests.test_preparation.test_missing_boxes import world


@pytest.mark.parametrize('kept', [0.8, 0.4])
def test_shares_are_those_of_the_mining_and_near_the_truth(kept):
    coco, learned, predictions, _ = world(kept=kept)
    *classes, everything = estimate_missing(coco, learned, predictions, replicates=60)
    _, report = mine_missing_boxes(coco, learned, predictions)
    for row, mined in zip(classes, report, strict=True):
        assert row.name == mined.name and row.pooled == mined.pooled
        assert (row.boxes, row.hidden, row.found) == (mined.boxes, mined.hidden, mined.found)
        assert row.missing == pytest.approx(1 - mined.kept_share)
        assert row.low <= row.missing <= row.high
    cells = sum(mined.boxes / mined.kept_share for mined in report)
    assert everything.missing == pytest.approx(1 - len(coco['annotations']) / cells)
    # a little more than the truth: some of the best finds are no cells
    assert everything.low - 0.02 <= 1 - kept <= everything.high
    assert 0.02 < everything.high - everything.low < 0.2
    assert everything.boxes == len(coco['annotations'])


def test_draws_are_those_of_whole_images_with_replacement():
    """A replicate by hand: the set of the images drawn, each as often as it was drawn."""
    coco, learned, predictions, _ = world(images=40)
    rows = estimate_missing(coco, learned, predictions, min_hidden=3, replicates=1, seed=4)
    times = np.random.default_rng(4).multinomial(40, np.full(40, 1 / 40))
    drawn = {'images': [], 'categories': coco['categories'], 'annotations': []}
    known, seen = {'annotations': []}, {}
    ids = {a['id'] for a in learned['annotations']}
    for image, count in enumerate(times.tolist()):
        for _ in range(count):
            number = len(drawn['images'])
            drawn['images'].append({'id': number, 'file_name': f'{number}.png'})
            seen[number] = predictions[image]
            for box in coco['annotations']:
                if box['image_id'] == image:
                    new = {**box, 'image_id': number, 'id': len(drawn['annotations']) + 1}
                    drawn['annotations'].append(new)
                    if box['id'] in ids:
                        known['annotations'].append(new)
    _, report = mine_missing_boxes(drawn, known, seen, min_hidden=3)
    for row, mined in zip(rows, report, strict=False):
        # of one draw the percentiles are that draw
        assert row.low == row.high == pytest.approx(1 - mined.kept_share)


def test_few_images_are_less_sure():
    widths = []
    for images in (30, 300):
        *_, row = estimate_missing(*world(images=images)[:3], replicates=60)
        widths.append(row.high - row.low)
    assert widths[0] > 1.5 * widths[1]


def test_nothing_is_missing_where_all_cells_have_boxes():
    coco, learned, predictions, _ = world(kept=1.0)
    *_, everything = estimate_missing(coco, learned, predictions, replicates=30)
    assert everything.missing < 0.04 and everything.low < 0.03


def test_files_of_another_set_are_refused(tmp_path):
    coco, learned, predictions, _ = world(images=20)
    strange = {**coco, 'annotations': coco['annotations'][:10]}
    with pytest.raises(DatasetError, match='boxes that the detector learned are not in the set'):
        estimate_missing(strange, learned, predictions)
    with pytest.raises(DatasetError, match='0 of .* boxes were hidden'):
        estimate_missing(coco, coco, predictions)
    with pytest.raises(DatasetError, match=r'no finished run.*predictions\.pkl'):
        find_mining(tmp_path)


@pytest.fixture
def found(tmp_path):
    """A set on disk, and a folder as ``ldwsccd find-missing`` leaves it."""
    coco, learned, predictions, _ = world(images=60)
    for content in (coco, learned):
        content['images'] = [{**i, 'width': 200, 'height': 200} for i in content['images']]
        for box in content['annotations']:
            box.update(area=400.0, iscrowd=0)
    folder = tmp_path / 'found'
    for name in ('hidden', 'finds'):
        (folder / name).mkdir(parents=True)
    (tmp_path / 'train.json').write_text(json.dumps(coco))
    (folder / 'hidden' / 'learned.json').write_text(json.dumps(learned))
    content = [
        {'img_id': image, 'pred_instances': dict(vars(found))}
        for image, found in predictions.items()
    ]
    (folder / 'finds' / 'predictions.pkl').write_bytes(pickle.dumps(content))
    return tmp_path / 'train.json', folder, estimate_missing(coco, learned, predictions)


def test_doctor_says_it(found, tmp_path, capsys):
    annotations, folder, rows = found
    plain = ('doctor', annotations, '--annotations-only', '--json', tmp_path / 'd.json')
    assert run(*plain) == 0
    assert 'cells without a box: not known; ldwsccd find-missing' in capsys.readouterr().out
    assert json.loads((tmp_path / 'd.json').read_text())['missing'] is None

    assert run(*plain, '--found', folder) == 0
    said = capsys.readouterr().out
    for row in rows:
        assert str(row) in said
    share = 100 * rows[-1].missing
    assert f'all classes: about {share:.0f} % of the cells may have no box' in said
    written = json.loads((tmp_path / 'd.json').read_text())['missing']
    assert written == [row.as_dict() for row in rows]

    files = ('--predictions', folder / 'finds' / 'predictions.pkl')
    learned = ('--learned', folder / 'hidden' / 'learned.json')
    assert run(*plain, *files, *learned) == 0
    assert str(rows[0]) in capsys.readouterr().out
    assert run(*plain, '--found', tmp_path) == 2
    assert 'no finished run of ldwsccd find-missing' in capsys.readouterr().err
    for wrong in (files, (*files, *learned, '--found', folder)):
        with pytest.raises(SystemExit):
            run(*plain, *wrong)


def test_an_estimate_in_words():
    empty = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))
    coco, learned, _, _ = world(images=10)
    rows = estimate_missing(coco, learned, dict.fromkeys(range(10), empty), replicates=3)
    assert str(rows[0]) == (
        'a: about 0 % of the cells may have no box (0 to 0 %, judged with all classes together)'
    )
