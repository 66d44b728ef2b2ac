"""Random annotated sets and detections near them."""

from __future__ import annotations

import numpy as np
import pytest

from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.evaluation import Detections

# ids neither from 0 nor in order: the label is the place in the file, not the id
CATEGORIES = [{'id': 7, 'name': 'hsil'}, {'id': 3, 'name': 'flora'}, {'id': 5, 'name': 'scc'}]


@pytest.fixture
def annotated():
    """``annotated({image_id: [(category_id, (x1, y1, x2, y2), {...}), ...]})``."""

    def make(boxes_by_image):
        anns = []
        for image_id, boxes in boxes_by_image.items():
            for category_id, (x1, y1, x2, y2), *more in boxes:
                box = [x1, y1, x2 - x1, y2 - y1]
                anns.append(
                    {
                        'id': len(anns),  # from 0, which pycocotools would take for "no match"
                        'image_id': image_id,
                        'category_id': category_id,
                        'bbox': box,
                        'area': box[2] * box[3],
                        'iscrowd': 0,
                        **(more[0] if more else {}),
                    }
                )
        images = [{'id': i, 'file_name': f'{i}.png'} for i in boxes_by_image]
        content = {'images': images, 'categories': CATEGORIES, 'annotations': anns}
        return index_truth(content, 'test')

    return make


@pytest.fixture
def detections():
    """``detections((x1, y1, x2, y2, score, label), ...)``."""

    def make(*rows):
        table = np.array(rows, float).reshape(-1, 6)
        return Detections(table[:, :4], table[:, 4], table[:, 5].astype(int))

    return make


@pytest.fixture
def random_set(annotated):
    """``random_set(seed, **chances)``: truth with flags by chance, and detections around it."""

    def make(seed=0, num_images=12, truths=6, **flags):
        rng = np.random.default_rng(seed)
        boxes_by_image, predictions = {}, {}
        for image_id in rng.permutation(50)[:num_images].tolist():
            corner = rng.uniform(0, 200, (truths, 2))
            boxes = np.hstack([corner, corner + rng.uniform(10, 130, (truths, 2))])
            labels = rng.integers(0, 3, truths)
            rows = [
                (
                    CATEGORIES[label]['id'],
                    tuple(box),
                    {key: int(rng.random() < chance) for key, chance in flags.items()},
                )
                for box, label in zip(boxes.tolist(), labels.tolist(), strict=True)
            ]
            boxes_by_image[image_id] = [] if rng.random() < 0.1 else rows
            near = np.repeat(boxes, 3, axis=0) + rng.normal(0, 8, (3 * truths, 4))
            near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
            guess = np.where(
                rng.random(len(near)) < 0.7, np.repeat(labels, 3), rng.integers(0, 3, len(near))
            )
            predictions[image_id] = Detections(near, rng.random(len(near)), guess)  # no ties
        return annotated(boxes_by_image), predictions

    return make
