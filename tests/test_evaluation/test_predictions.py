import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ResultsError
from ldwsccd_mmdet.evaluation import load_predictions
from ldwsccd_mmdet.evaluation.predictions import load_image_paths


def dumped(path):
    """Write a file the way ``tools/test.py --out`` does."""
    from mmdet.evaluation import DumpDetResults
    from mmdet.structures import DetDataSample

    samples = []
    for image_id, count in ((11, 2), (12, 0)):
        instances = InstanceData(
            bboxes=torch.arange(4.0 * count).reshape(count, 4),
            scores=torch.linspace(0.9, 0.1, count),
            labels=torch.arange(count),
        )
        metainfo = dict(img_id=image_id, img_path='a.png', ori_shape=(20, 30))
        metainfo['scale_factor'] = np.array([1.0, 2.0])
        sample = DetDataSample(metainfo=metainfo, pred_instances=instances)
        samples.append(sample.to_dict())
    metric = DumpDetResults(str(path))
    metric.process({}, samples)
    metric.compute_metrics(metric.results)


def test_reads_what_mmdet_dumps(tmp_path):
    dumped(tmp_path / 'x.pkl')
    predictions = load_predictions(tmp_path / 'x.pkl')
    assert list(predictions) == [11, 12]
    np.testing.assert_array_equal(predictions[11].bboxes, [[0, 1, 2, 3], [4, 5, 6, 7]])
    np.testing.assert_allclose(predictions[11].scores, [0.9, 0.1], rtol=1e-6)
    assert predictions[11].labels.tolist() == [0, 1]
    assert predictions[12].bboxes.shape == (0, 4)
    assert len(predictions[11].above(0.5)) == 1


class Crafted:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_crafted_file_runs_nothing(tmp_path):
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps([Crafted(tmp_path / 'made')]))
    with pytest.raises(ValueError, match='mkdir is not allowed'):
        load_predictions(path)
    assert not (tmp_path / 'made').exists()


def test_crafted_storage_runs_nothing(tmp_path):
    inner = pickle.dumps(Crafted(tmp_path / 'made'))
    path = tmp_path / 'x.pkl'

    class Storage:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (inner,)

    path.write_bytes(pickle.dumps([Storage()]))
    with pytest.raises(ValueError, match='does not hold predictions'):
        load_predictions(path)
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
    'content', [b'', b'not a pickle', pickle.dumps([{'a': 1}]), pickle.dumps(3)]
)
def test_other_files(tmp_path, content):
    path = tmp_path / 'x.pkl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='does not hold predictions'):
        load_predictions(path)


def sample(image_id=1, **changes):
    found = dict(bboxes=torch.zeros(2, 4), scores=torch.ones(2), labels=torch.zeros(2).long())
    return dict(img_id=image_id, pred_instances={**found, **changes})


@pytest.mark.parametrize(
    ('samples', 'match'),
    [
        ([sample(), sample()], '1 images occur twice'),
        ([sample(1), sample('1')], '1 images occur twice'),
        ([sample(scores=torch.ones(3))], '2 boxes, 3 scores, 2 labels'),
        ([sample(bboxes=torch.zeros(3, 4))], '3 boxes, 2 scores'),
        ([sample(scores=torch.tensor([0.5, float('nan')]))], 'not finite'),
        ([sample(bboxes=torch.full((2, 4), float('inf')))], 'not finite'),
        ([sample(bboxes=torch.zeros(2, 3))], 'does not hold predictions'),
        ([sample(None)], 'does not hold predictions'),
        ([sample(float('inf'))], 'does not hold predictions'),
        ([{'pred_instances': sample()['pred_instances']}], "does not hold pred.*'img_id'"),
        ([sample(float('nan'))], 'does not hold predictions'),
        ([sample(labels=None)], 'does not hold predictions'),
        ({'a': 1}, 'does not hold predictions'),
    ],
)
def test_what_no_detector_gives(tmp_path, samples, match):
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps(samples))
    with pytest.raises(ResultsError, match=match) as error:
        load_predictions(path)
    assert '\n' not in str(error.value) and 'x.pkl' in str(error.value)


def test_paths_of_samples_without_an_image(tmp_path):
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps([dict(img_path='a.png')]))
    with pytest.raises(ResultsError, match="does not hold predictions.*'img_id'"):
        load_image_paths(path)


def test_missing_file(tmp_path):
    with pytest.raises(ResultsError, match='tools/test.py'):
        load_predictions(tmp_path / 'none.pkl')


@pytest.mark.parametrize('part', [0.2, 0.5, 0.9, 0.99])
def test_file_cut_short(tmp_path, part):
    path = tmp_path / 'x.pkl'
    dumped(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(ResultsError, match='x.pkl .*write it again with tools/test.py --out'):
        load_predictions(path)


def test_no_image_at_all(tmp_path):
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps([]))
    with pytest.raises(ResultsError, match='holds no image'):
        load_predictions(path)
