"""Trained models that never were: truth, images and detections of three kinds."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.evaluation import Detections, evaluate_detections

CLASSES = ('ascus', 'hsil', '<b>flora')


@pytest.fixture(scope='session')
def annotated():
    """``annotated({image_id: [label, ...]})``: boxes in a row on images of 128 px."""

    def make(labels_by_image):
        content = {
            'images': [
                {'id': i, 'file_name': f'{i}.png', 'width': 128, 'height': 128}
                for i in labels_by_image
            ],
            'categories': [{'id': i + 1, 'name': name} for i, name in enumerate(CLASSES)],
            'annotations': [
                {
                    'id': 100 * image_id + k,
                    'image_id': image_id,
                    'category_id': label + 1,
                    'bbox': [40 * k - 35, 30, 30, 25],
                    'area': 750,
                    'iscrowd': 0,
                }
                for image_id, labels in labels_by_image.items()
                for k, label in enumerate(labels, start=1)
            ],
        }
        return index_truth(content, 'test')

    return make


@pytest.fixture(scope='session')
def detections():
    """``detections((x1, y1, x2, y2, score, label), ...)``."""

    def make(*rows):
        table = np.array(rows, float).reshape(-1, 6)
        return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))

    return make


@pytest.fixture(scope='session')
def noise_images():
    """``noise_images(folder, image_ids)`` writes pictures of 128 px."""

    def make(folder, image_ids):
        rng = np.random.default_rng(0)
        for image_id in image_ids:
            noise = rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / f'{image_id}.png')

    return make


@pytest.fixture(scope='session')
def measured():
    """``measured(truth, predictions)``: metrics with a quick bootstrap."""

    def make(truth, predictions, **settings):
        return evaluate_detections(truth, predictions, num_resamples=20, **settings)

    return make
