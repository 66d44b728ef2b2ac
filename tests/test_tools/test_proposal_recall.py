"""tools/analysis_tools/proposal_recall.py on tiny data."""

import csv

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from tests import commands
from tests.runs import run_config
from tests.test_models.test_detectors.conftest import student_cfg


@pytest.fixture
def workplace(tiny_coco, tmp_path):
    """A config, and a checkpoint of its student with random weights."""
    root = tiny_coco('train')
    tiny_coco('val', num_images=5)
    model = student_cfg()
    run_config(model, root).dump(tmp_path / 'config.py')
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    student = MODELS.build(model)
    student.init_weights()
    torch.save({'state_dict': student.state_dict(), 'meta': {}}, tmp_path / 'weights.pth')
    return tmp_path


def run(folder, *arguments):
    return commands.run('recall', folder / 'config.py', *arguments)


def test_all_proposers_and_the_table(workplace, capsys):
    table = workplace / 'out' / 'recall.csv'
    code = run(
        workplace,
        workplace / 'weights.pth',
        '--proposer',
        'head',
        'blobs',
        'priors',
        'priors-even',
        '--num',
        2,
        100,
        '--iou',
        0.3,
        0.5,
        '--csv',
        table,
    )
    assert code == 0
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ['proposer', 'regions', 'IoU', 'all', 'lsil', 'hsil', 'scc']
    assert len(rows) == 4 * 2 * 2
    recall = {(r['proposer'], r['regions'], r['IoU']): float(r['all']) for r in rows}
    for kind in ('head', 'blobs', 'priors', 'priors-even'):
        assert 0 <= recall[kind, '2', '0.5'] <= recall[kind, '100', '0.5'] <= 100
        assert recall[kind, '100', '0.5'] <= recall[kind, '100', '0.3']
    # dark discs on a pale field: blobs find them
    assert recall['blobs', '100', '0.5'] >= 90
    out = capsys.readouterr().out
    assert '5 images of val, 10 cells' in out and 'hsil' in out


def test_saved_regions_are_read_back(workplace, capsys):
    saved, tables = workplace / 'regions.npz', [workplace / '1.csv', workplace / '2.csv']
    assert run(workplace, '--save', saved, '--num', 40, '--csv', tables[0]) == 0
    assert run(workplace, '--proposer', saved, '--num', 40, '--csv', tables[1]) == 0
    first, second = (list(csv.reader(table.open())) for table in tables)
    assert [row[1:] for row in first] == [row[1:] for row in second]
    with np.load(saved) as regions:
        assert sorted(regions.files) == ['1', '2', '3', '4', '5']
        assert regions['1'][:, 2].max() > 64  # pixels of the file, not of the 64 px tensor


def test_options_and_errors(workplace, capsys):
    table = workplace / 'sizes.csv'
    options = ['--options', 'contexts=[]', 'sizes=[19]', 'radius_range=[3,12]']
    assert run(workplace, *options, '--csv', table, '--max-images', 2) == 0
    assert '2 images of val, 4 cells' in capsys.readouterr().out
    assert run(workplace, '--proposer', 'magic') == 2
    assert '--proposer magic: expected config, head, blobs' in capsys.readouterr().err
    assert run(workplace, '--proposer', 'config') == 2
    assert 'needs model.proposer' in capsys.readouterr().err
    assert run(workplace, '--proposer', workplace / 'none.npz') == 2
    assert 'does not exist' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(workplace, '--proposer', 'head')
    assert 'needs a CHECKPOINT' in capsys.readouterr().err
