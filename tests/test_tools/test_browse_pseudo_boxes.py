"""tools/analysis_tools/browse_pseudo_boxes.py on tiny data with image labels alone."""

import json

import cv2
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from ldwsccd_mmdet.preparation.weak_labels import weaken
from tests import commands
from tests.runs import run_config
from tests.test_models.test_detectors.conftest import mil_cfg, student_cfg


@pytest.fixture
def workplace(tiny_coco, tmp_path):
    """A config with image labels alone, the true boxes, and random weights."""
    root = tiny_coco('train')
    tiny_coco('val')
    true = (root / 'train.json').read_text()
    (root / 'true.json').write_text(true)
    (root / 'train.json').write_text(json.dumps(weaken(json.loads(true), image_labels_only=1)))
    proposer = dict(type='NucleusBlobProposer', max_per_img=20)
    model = student_cfg(mil_head=mil_cfg(), supervision=dict(regime='image'), proposer=proposer)
    run_config(model, root).dump(tmp_path / 'config.py')
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    student = MODELS.build(model)
    student.init_weights()
    torch.save({'state_dict': student.state_dict(), 'meta': {}}, tmp_path / 'weights.pth')
    return tmp_path


def run(folder, *arguments):
    arguments = [folder / 'config.py', folder / 'weights.pth', *arguments]
    return commands.run('browse-pseudo-boxes', *arguments)


def test_pictures_table_and_results(workplace, capsys):
    out, results = workplace / 'drawn', workplace / 'found.json'
    truth = workplace / 'tiny' / 'true.json'
    code = run(workplace, '--out-dir', out, '--num', 2, '--truth', truth, '--json', results)
    assert code == 0
    pictures = sorted(path.name for path in out.iterdir())
    assert pictures == ['train_1.jpg', 'train_4.jpg']
    assert cv2.imread(str(out / 'train_1.jpg')).shape == (64, 2 * 96 + 8, 3)
    known = {
        image['id']: image['image_labels']
        for image in json.loads((workplace / 'tiny' / 'train.json').read_text())['images']
    }
    rows = json.loads(results.read_text())
    assert rows and {row['image_id'] for row in rows} <= set(known)
    for row in rows:
        # pseudo-boxes are of the image's classes only, within the image file
        assert ('lsil', 'hsil', 'scc')[row['category_id'] - 1] in known[row['image_id']]
        x, y, w, h = row['bbox']
        assert x >= 0 and y >= 0 and x + w <= 96.01 and y + h <= 64.01 and 0 < row['score'] <= 1
    printed = capsys.readouterr().out
    assert 'CorLoc' in printed and 'hsil' in printed and 'mean' in printed


def test_without_a_mil_head(workplace, capsys):
    edits = ['model.mil_head=None', 'model.supervision=None', 'model.proposer=None']
    assert run(workplace, '--cfg-options', *edits) == 2
    assert 'model.mil_head: pseudo-boxes come from' in capsys.readouterr().err
