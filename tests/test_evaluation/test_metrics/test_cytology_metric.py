import copy
import json
import multiprocessing

import numpy as np
import pytest
import torch
from mmdet.registry import METRICS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError, DatasetError, ResultsError
from ldwsccd_mmdet.evaluation import CytologyMetric, evaluate_detections

CLASSES = ('hsil', 'flora', 'scc')


def samples_of(truth, predictions):
    """Detections and truth as a detector's test step hands them to a metric."""
    index = {category['id']: i for i, category in enumerate(truth.dataset['categories'])}
    samples = []
    for image_id, found in predictions.items():
        rows = {False: [], True: []}
        for ann in truth.imgToAnns[image_id]:
            x, y, w, h = ann['bbox']
            rows[bool(ann['iscrowd'])].append((x, y, x + w, y + h, index[ann['category_id']]))
        instances = [
            InstanceData(bboxes=table[:, :4], labels=table[:, 4].long())
            for table in (
                torch.tensor(rows[key], dtype=torch.float64).reshape(-1, 5) for key in (False, True)
            )
        ]
        sample = DetDataSample(
            metainfo=dict(img_id=image_id),
            gt_instances=instances[0],
            ignored_instances=instances[1],
            pred_instances=InstanceData(
                bboxes=torch.from_numpy(found.bboxes),
                scores=torch.from_numpy(found.scores),
                labels=torch.from_numpy(found.labels),
            ),
        )
        samples.append(sample.to_dict())
    return samples


def evaluate(metric, samples):
    metric.dataset_meta = {'classes': CLASSES}
    for start in range(0, len(samples), 5):
        metric.process({}, samples[start : start + 5])
    return metric.evaluate(len(samples))


def test_logs_every_value(random_set, tmp_path):
    truth, predictions = random_set(0, iscrowd=0.2)
    (tmp_path / 'truth.json').write_text(json.dumps(truth.dataset))
    metric = METRICS.build(
        dict(type='mmdet.CytologyMetric', ann_file=str(tmp_path / 'truth.json'), num_resamples=50)
    )
    logged = evaluate(metric, samples_of(truth, predictions))
    expected = evaluate_detections(truth, predictions, num_resamples=50)
    assert logged['cytology/mAP'] == pytest.approx(expected.mean_ap)
    assert logged['cytology/mAP_low'] <= logged['cytology/mAP'] <= logged['cytology/mAP_high']
    assert logged['cytology/AP75'] == pytest.approx(expected.mean(expected.ap75))
    assert logged['cytology/recall'] == expected.pooled.recall
    assert logged['cytology/sensitivity_4fp'] == expected.pooled_sensitivity[1]
    assert logged['cytology/ece'] == expected.calibration.error
    assert logged['cytology/corloc'] == pytest.approx(np.nanmean(expected.corloc))
    assert logged['cytology/flora_AP'] == expected.ap[1]
    assert logged['cytology/scc_precision'] == expected.points[2].precision
    assert logged['cytology/scc_truths'] == expected.num_truths[2]
    assert all(type(value) is float for value in logged.values())


def test_truth_of_the_samples(random_set, tmp_path):
    truth, predictions = random_set(1, iscrowd=0.2)
    (tmp_path / 'truth.json').write_text(json.dumps(truth.dataset))
    samples = samples_of(truth, predictions)
    settings = dict(num_resamples=0, classwise=False)
    from_file = evaluate(CytologyMetric(str(tmp_path / 'truth.json'), **settings), samples)
    from_samples = evaluate(CytologyMetric(**settings), samples)
    assert from_samples == pytest.approx(from_file, nan_ok=True)
    assert not any('hsil' in name for name in from_file)


def test_labels_are_places_in_the_classes(random_set, tmp_path):
    """In the order of the data set's classes, whatever the order of the file."""
    truth, predictions = random_set(3)
    (tmp_path / 'truth.json').write_text(json.dumps(truth.dataset))
    logged = []
    for classes in (CLASSES, CLASSES[::-1]):
        metric = CytologyMetric(str(tmp_path / 'truth.json'), num_resamples=0)
        metric.dataset_meta = {'classes': classes}
        samples = copy.deepcopy(samples_of(truth, predictions))
        if classes != CLASSES:
            for sample in samples:
                sample['pred_instances']['labels'] = 2 - sample['pred_instances']['labels']
        metric.process({}, samples)
        logged.append(metric.evaluate(len(samples)))
    assert logged[0] == pytest.approx(logged[1], nan_ok=True)
    metric.dataset_meta = {'classes': ('hsil', 'RBC')}
    metric.process({}, samples)
    with pytest.raises(ResultsError, match=r'annotations lack \(RBC; they have hsil, flora, scc'):
        metric.evaluate(len(samples))


def test_no_truth():
    with pytest.raises(ConfigError, match='no truth: give it ann_file, or load annotations'):
        instances = dict(bboxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0))
        CytologyMetric().process({}, [dict(img_id=1, pred_instances=instances)])


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, 'x.json.*does not exist'),
        ('{"images": [', 'x.json.*cannot be read'),
        ('{"images": []}', "has no list 'annotations'"),
        ('{"images": [], "annotations": [{"id": 1}], "categories": []}', 'lacks image_id'),
        (
            '{"images": [], "annotations": [], "categories": '
            '[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            '1 ids occur twice in categories',
        ),
    ],
)
def test_bad_annotation_file(tmp_path, content, message):
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        CytologyMetric(str(path))


def one_process(rank, store, samples, ann_file, results):
    """Evaluate every other sample; the last turn is padded, as a distributed sampler does."""
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=2
    )
    metric = CytologyMetric(ann_file, num_resamples=0)
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, (samples + samples[:1])[rank::2])
    results.put((rank, metric.evaluate(len(samples))['cytology/mAP']))
    torch.distributed.destroy_process_group()


def test_two_processes(random_set, tmp_path):
    truth, predictions = random_set(2, num_images=7)
    (tmp_path / 'truth.json').write_text(json.dumps(truth.dataset))
    context = multiprocessing.get_context('fork')  # a new interpreter takes seconds to import mmdet
    results = context.Queue()
    samples = samples_of(truth, predictions)
    processes = [
        context.Process(
            target=one_process,
            args=(rank, tmp_path / 'store', samples, str(tmp_path / 'truth.json'), results),
        )
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    found = dict(results.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
    expected = evaluate_detections(truth, predictions).mean_ap
    assert found == {0: pytest.approx(expected), 1: pytest.approx(expected)}
