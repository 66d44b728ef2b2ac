"""A folder with one right input of each kind, for lines of which one word is wrong."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules

from tests.runs import run_config, write_config
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

__all__ = ['make_workplace']

CLASSES = ('lsil', 'hsil', 'scc')


def make_workplace(folder: Path, make_tiny_coco: Callable[..., Path]) -> Path:
    """Make the folder, with a data set, configs and weights of tiny models, and tables."""
    register_all_modules(init_default_scope=True)
    root = make_tiny_coco(folder, 'train', num_images=4)
    make_tiny_coco(folder, 'val', num_images=2)
    _models(folder, root)
    _annotations(folder, root)
    _other_formats(folder, root)
    return folder


def _models(folder: Path, root: Path) -> None:
    teacher = zoo.save(teacher_model_cfg(), folder)
    write_config(teacher['config'], folder / 'teacher.py')
    write_config(run_config(student_cfg(), root), folder / 'plain.py')
    parts = dict(
        teacher=dict(config=str(folder / 'teacher.py'), checkpoint=teacher['checkpoint']),
        distillation=distillation_cfg(),
        mil_head=mil_cfg(),
    )
    write_config(run_config(student_cfg(**parts), root), folder / 'distilled.py')
    mil = student_cfg(mil_head=mil_cfg())
    write_config(run_config(mil, root), folder / 'mil.py')
    (folder / 'mine').mkdir()
    write_config(run_config(student_cfg(), root), folder / 'mine' / 'a.py')
    for name, model in (('student', student_cfg()), ('mil', mil)):
        built = MODELS.build(model)
        for part in (built.backbone, built.neck, built.bbox_head):
            part.init_weights()
        content = dict(state_dict=built.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES)))
        torch.save(content, folder / f'{name}.pth')
    torch.save({'features.0.weight': torch.zeros(64, 3, 3, 3)}, folder / 'vgg.pth')
    (folder / 'junk.weights').write_bytes(bytes(400))


def _annotations(folder: Path, root: Path) -> None:
    content = json.loads((root / 'train.json').read_text())
    learned = {**content, 'annotations': content['annotations'][::2]}
    (folder / 'learned.json').write_text(json.dumps(learned))
    faulty = json.loads(json.dumps(content))
    faulty['annotations'][0]['bbox'] = [500, 500, 9, 9]
    (folder / 'faulty.json').write_text(json.dumps(faulty))
    found = []
    for image in content['images']:
        boxes = [a for a in content['annotations'] if a['image_id'] == image['id']]
        corners = torch.tensor([a['bbox'] for a in boxes], dtype=torch.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        found.append(
            dict(
                img_id=image['id'],
                img_path=str(root / 'images' / image['file_name']),
                pred_instances=dict(
                    bboxes=corners,
                    scores=torch.linspace(0.9, 0.5, len(boxes)),
                    labels=torch.tensor([a['category_id'] - 1 for a in boxes]),
                ),
            )
        )
    (folder / 'found.pkl').write_bytes(pickle.dumps(found))


def _other_formats(folder: Path, root: Path) -> None:
    labels, voc, crops = folder / 'labels', folder / 'voc', folder / 'crops'
    for path in (labels, voc / 'Annotations', voc / 'ImageSets' / 'Main', voc / 'JPEGImages'):
        path.mkdir(parents=True)
    (folder / 'names.txt').write_text('\n'.join(CLASSES))
    for index in range(1, 5):
        (labels / f'train_{index}.txt').write_text('0 0.5 0.5 0.2 0.2\n')
    (voc / 'ImageSets' / 'Main' / 'train.txt').write_text('a\n')
    cv2.imwrite(str(voc / 'JPEGImages' / 'a.jpg'), np.zeros((40, 60, 3), np.uint8))
    (voc / 'Annotations' / 'a.xml').write_text(
        '<annotation><filename>a.jpg</filename><size><width>60</width><height>40</height></size>'
        '<object><name>lsil</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>20</xmax>'
        '<ymax>30</ymax></bndbox></object></annotation>'
    )
    (folder / 'points.csv').write_text(
        'image_filename,bethesda_system,nucleus_x,nucleus_y\ntrain_1.jpg,LSIL,40,30\n'
    )
    rng = np.random.default_rng(0)
    for name in CLASSES[:2]:
        (crops / name).mkdir(parents=True)
        for index in range(3):
            picture = rng.integers(180, 255, (40, 40, 3), dtype=np.uint8)
            cv2.circle(picture, (20, 20), 9, (90, 30 + index, 60), -1)
            cv2.imwrite(str(crops / name / f'{index}.png'), picture)
