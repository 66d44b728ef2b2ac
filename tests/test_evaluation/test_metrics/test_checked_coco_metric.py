"""One truth for loader and metrics: on files as exporters write them both metrics agree."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation import CheckedCocoMetric, CytologyMetric

CLASSES = ('lsil', 'hsil', 'scc')


def dataset_of(root: Path, classes: tuple[str, ...] = CLASSES, **kwargs: Any) -> Any:
    return CervicalCellDataset(
        data_root=str(root),
        ann_file='val.json',
        data_prefix={'img': 'images'},
        metainfo={'classes': classes},
        test_mode=True,
        **kwargs,
    )


def perfect(dataset: Any, only: str | None = None, jitter: float = 0.0) -> list[dict]:
    """Detections that are the boxes the loader has loaded, as a model hands them on."""
    rng = np.random.default_rng(0)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        cells = [
            cell
            for cell in info['instances']
            if only is None or dataset.metainfo['classes'][cell['bbox_label']] == only
        ]
        boxes = np.array([cell['bbox'] for cell in cells], float).reshape(-1, 4)
        boxes += rng.normal(0, 1, boxes.shape) * jitter
        found = {
            'bboxes': torch.from_numpy(boxes),
            'scores': torch.from_numpy(rng.uniform(0.2, 1, len(cells))),
            'labels': torch.tensor([cell['bbox_label'] for cell in cells], dtype=torch.long),
        }
        samples.append({'img_id': info['img_id'], 'ori_shape': (64, 96), 'pred_instances': found})
    return samples


def measure(metric: Any, dataset: Any, samples: list[dict]) -> dict[str, float]:
    metric.dataset_meta = dataset.metainfo
    if metric.ann_file is None:
        metric.use_dataset(dataset, 'val_dataloader.dataset')
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def renumbered(content: dict) -> None:
    for record in (*content['categories'], *content['annotations']):
        key = 'category_id' if 'category_id' in record else 'id'
        record[key] = (40, 3, 7)[record[key] - 1]


def some_bad(content: dict) -> None:
    bad = ([1, 2, math.nan, 4], [1, 2, 0, 9], [500, 1, 9, 9], [5, 5, -3, 9], [1, 2, 3])
    for number, bbox in enumerate(bad):
        first = content['annotations'][0]
        content['annotations'].append({**first, 'id': 900 + number, 'bbox': bbox})
    content['annotations'].append({**content['annotations'][1], 'id': 950, 'image_id': 77})


def without(*keys: str) -> Callable[[dict], None]:
    def edit(content: dict) -> None:
        for annotation in content['annotations']:
            for key in keys:
                del annotation[key]

    return edit


def values(key: str, make: Callable[[int, Any], Any]) -> Callable[[dict], None]:
    def edit(content: dict) -> None:
        for index, annotation in enumerate(content['annotations']):
            annotation[key] = make(index, annotation.get(key))

    return edit


def text_ids(content: dict) -> None:
    for section, key in (
        ('images', 'id'),
        ('categories', 'id'),
        ('annotations', 'image_id'),
        ('annotations', 'category_id'),
    ):
        for record in content[section]:
            record[key] = str(record[key])


EDITS: dict[str, Callable[[dict], None]] = {
    'clean': lambda content: None,
    'category ids 40, 3, 7': renumbered,
    'annotation ids from 0': values('id', lambda i, v: i),
    'no iscrowd, no area': without('iscrowd', 'area'),
    'no ids': without('id'),
    'area 0': values('area', lambda i, v: 0),
    'area null': values('area', lambda i, v: None),
    'ids as text': text_ids,
    'iscrowd as text': values('iscrowd', lambda i, v: '0'),
    'some crowds': values('iscrowd', lambda i, v: int(i % 4 == 0)),
    'some ignored': values('ignore', lambda i, v: int(i % 4 == 1)),
    'boxes that cannot be used': some_bad,
}


@pytest.mark.parametrize('kind', EDITS)
def test_both_metrics_agree_and_a_perfect_detector_has_one(
    tiny_coco: Callable[..., Path], kind: str
) -> None:
    root = tiny_coco('val', num_images=5, boxes_per_image=4, edit=EDITS[kind])
    dataset = dataset_of(root)
    path = str(root / 'val.json')
    for jitter in (0.0, 2.0):
        samples = perfect(dataset, jitter=jitter)
        logged = [
            {
                **measure(CheckedCocoMetric(file, classwise=True), dataset, samples),
                **measure(CytologyMetric(file, num_resamples=0), dataset, samples),
            }
            for file in (None, path)
        ]
        for one in logged:
            for ours, theirs in (('mAP_50', 'mAP'), ('mAP_75', 'AP75'), ('mAP', 'coco_mAP')):
                assert one[f'coco/bbox_{ours}'] == pytest.approx(
                    one[f'cytology/{theirs}'], abs=1e-9
                )
        assert logged[0] == pytest.approx(logged[1], nan_ok=True)
        if not jitter:
            assert logged[0]['coco/bbox_mAP_50'] == logged[0]['coco/bbox_mAP'] == 1
            assert logged[0]['cytology/truths'] == sum(
                not cell['ignore_flag']
                for index in range(len(dataset))
                for cell in dataset.get_data_info(index)['instances']
            )


@pytest.mark.parametrize('classes', [CLASSES, ('scc', 'lsil', 'hsil')])
@pytest.mark.parametrize('only', CLASSES)
def test_ap_stands_under_the_right_class(
    tiny_coco: Callable[..., Path], only: str, classes: tuple[str, ...]
) -> None:
    root = tiny_coco('val', num_images=6, boxes_per_image=4, edit=renumbered)
    dataset = dataset_of(root, classes)
    samples = perfect(dataset, only)
    logged = measure(CheckedCocoMetric(classwise=True), dataset, samples)
    other = measure(CytologyMetric(num_resamples=0), dataset, samples)
    for name in CLASSES:
        assert logged[f'coco/{name}_precision'] == (name == only)
        assert other[f'cytology/{name}_AP'] == (name == only)


def test_equal_to_mmdet_on_a_clean_file(tiny_coco: Callable[..., Path]) -> None:
    root = tiny_coco('val', num_images=6, boxes_per_image=4)
    dataset = dataset_of(root)
    samples = perfect(dataset, jitter=2.5)
    plain = CocoMetric(str(root / 'val.json'), classwise=True)
    plain.dataset_meta = dataset.metainfo
    plain.process({}, samples)
    expected = plain.evaluate(len(samples))
    found = measure(METRICS.build(dict(type='CheckedCocoMetric', classwise=True)), dataset, samples)
    assert 0.1 < found['coco/bbox_mAP'] < 0.95
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=6e-4, nan_ok=True), name
    # other overlaps and other metrics are mmdet's own, on the same truth
    for overlaps in ([0.5], (0.5,), 0.5):
        metric = CheckedCocoMetric(iou_thrs=overlaps, metric=['bbox'])
        found = measure(metric, dataset, samples)
        assert found['coco/bbox_mAP'] == pytest.approx(expected['coco/bbox_mAP_50'], abs=6e-4)
    found = measure(CheckedCocoMetric(metric='proposal'), dataset, samples)
    assert 0 < found['coco/AR@100'] <= 1


def test_part_of_a_set_is_measured_on_its_images(tiny_coco: Callable[..., Path]) -> None:
    """mmdet's metric counts the cells of all images of the file as missed."""
    root = tiny_coco('val', num_images=6)
    dataset = dataset_of(root, indices=2)
    samples = perfect(dataset)
    assert measure(CheckedCocoMetric(), dataset, samples)['coco/bbox_mAP_50'] == 1
    metric = CheckedCocoMetric(str(root / 'val.json'))
    metric.use_dataset(dataset, 'val_dataloader.dataset')
    assert measure(metric, dataset, samples)['coco/bbox_mAP_50'] == 1


def test_more_truths_than_detections_that_count_is_said(
    tiny_coco: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        'ldwsccd_mmdet.evaluation.metrics.loader_truth.warn', lambda message: said.append(message)
    )
    dataset = dataset_of(tiny_coco('val', boxes_per_image=8, classes=('lsil',)), ('lsil',))
    samples = perfect(dataset)
    for metric in (CheckedCocoMetric(max_dets=5), CytologyMetric(max_dets=5, num_resamples=0)):
        measure(metric, dataset, samples)
    assert len(said) == 2 and all('8 boxes of one class' in s and 'max_dets=8' in s for s in said)


def test_another_annotation_file_is_one_error(tiny_coco: Callable[..., Path]) -> None:
    root = tiny_coco('val')
    tiny_coco('test')
    for kind in (CheckedCocoMetric, CytologyMetric):
        metric = kind(str(root / 'test.json'))
        with pytest.raises(
            ConfigError, match=r"test.json', whose images are not .*val.json.*leave"
        ):
            metric.use_dataset(dataset_of(root), 'val_dataloader.dataset')


def test_truth_of_the_same_images_may_be_another_file(tiny_coco: Callable[..., Path]) -> None:
    """As where the loader has image labels alone."""
    root = tiny_coco('val')
    content = json.loads((root / 'val.json').read_text())
    for image in content['images']:
        image['image_labels'] = ['lsil']
    dataset = dataset_of(root)
    samples = perfect(dataset)
    (root / 'true.json').write_text((root / 'val.json').read_text())
    (root / 'val.json').write_text(json.dumps({**content, 'annotations': []}))
    metric = CheckedCocoMetric(str(root / 'true.json'))
    metric.use_dataset(dataset_of(root), 'val_dataloader.dataset')
    assert measure(metric, dataset, samples)['coco/bbox_mAP_50'] == 1


def test_no_truth_is_one_error() -> None:
    with pytest.raises(ConfigError, match='no truth: add the hook.*LoaderTruthHook'):
        CheckedCocoMetric().process({}, [{}])
