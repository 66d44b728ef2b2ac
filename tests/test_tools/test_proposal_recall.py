"""tools/analysis_tools/proposal_recall.py on tiny data."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from ldwsccd_mmdet import cli
from tests.runs import run_config
from tests.test_models.test_detectors.conftest import student_cfg

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/proposal_recall.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('proposal_recall_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def run(tool, folder, *arguments):
    arguments = [str(folder / 'config.py'), *map(str, arguments)]
    return cli.run_tool(tool.main, tool.parse_args(arguments))


def test_all_proposers_and_the_table(tool, workplace, capsys):
    table = workplace / 'out' / 'recall.csv'
    code = run(
        tool,
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


def test_saved_regions_are_read_back(tool, workplace, capsys):
    saved, tables = workplace / 'regions.npz', [workplace / '1.csv', workplace / '2.csv']
    assert run(tool, workplace, '--save', saved, '--num', 40, '--csv', tables[0]) == 0
    assert run(tool, workplace, '--proposer', saved, '--num', 40, '--csv', tables[1]) == 0
    first, second = (list(csv.reader(table.open())) for table in tables)
    assert [row[1:] for row in first] == [row[1:] for row in second]
    with np.load(saved) as regions:
        assert sorted(regions.files) == ['1', '2', '3', '4', '5']
        assert regions['1'][:, 2].max() > 64  # pixels of the file, not of the 64 px tensor


def test_options_and_errors(tool, workplace, capsys):
    table = workplace / 'sizes.csv'
    options = ['--options', 'contexts=[]', 'sizes=[19]', 'radius_range=[3,12]']
    assert run(tool, workplace, *options, '--csv', table, '--max-images', 2) == 0
    assert '2 images of val, 4 cells' in capsys.readouterr().out
    assert run(tool, workplace, '--proposer', 'magic') == 2
    assert '--proposer magic: expected config, head, blobs' in capsys.readouterr().err
    assert run(tool, workplace, '--proposer', 'config') == 2
    assert 'needs model.proposer' in capsys.readouterr().err
    assert run(tool, workplace, '--proposer', workplace / 'none.npz') == 2
    assert 'does not exist' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, workplace, '--proposer', 'head')
    assert 'needs a CHECKPOINT' in capsys.readouterr().err
