"""From a config to its cells without a box: the plan of the run, and what it says."""

import json

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.evaluation.predictions import Detections
from ldwsccd_mmdet.experiments import cell_mining
from ldwsccd_mmdet.experiments.missing_cells import MissingCells


@pytest.fixture
def configs(tmp_path):
    (tmp_path / 'data' / 'images').mkdir(parents=True)
    data = dict(
        data_root=str(tmp_path / 'data'), ann_file='train.json', data_prefix=dict(img='images')
    )
    common = dict(
        train_cfg=dict(by_epoch=True, max_epochs=20),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        train_dataloader=dict(dataset=data),
        test_dataloader=dict(dataset=data),
    )
    teacher, student = tmp_path / 'teacher.py', tmp_path / 'student.py'
    Config(dict(common, model=dict(type='SingleStageDetector'))).dump(teacher)
    model = dict(type='LDWSCCD', teacher=dict(config=str(teacher), checkpoint='x.pth'))
    Config(dict(common, model=model)).dump(student)
    return teacher, student


def test_teacher_learns_what_was_not_hidden_and_is_tested_on_all(configs, tmp_path):
    search = MissingCells(configs[1], tmp_path / 'out', epochs=3, seed=5)
    names = [s.name for s in search.runner.stages]
    assert names == ['hidden', 'teacher', 'finds', 'mined', 'pictures']
    hidden, teacher, finds, _, _ = search.runner.stages
    config = teacher.settings['config']
    assert config['train_dataloader']['dataset']['ann_file'] == str(hidden.outputs[0])
    assert config['randomness'] == dict(seed=5)
    assert teacher.outputs[0].name == 'epoch_3.pth'
    assert finds.settings['annotations'] == str(tmp_path / 'data' / 'train.json')


def test_hides_mines_draws_and_tells(configs, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = [dict(id=i, file_name=f'{i}.png', width=64, height=64) for i in range(60)]
    annotations = [
        dict(id=i, image_id=i, category_id=1, bbox=[4, 4, 20, 20], area=400, iscrowd=0)
        for i in range(60)
    ]
    coco = dict(images=images, annotations=annotations, categories=[dict(id=1, name='cell')])
    (tmp_path / 'data' / 'train.json').write_text(json.dumps(coco))
    for image in images:
        Image.new('RGB', (64, 64)).save(tmp_path / 'data' / 'images' / image['file_name'])

    search = MissingCells(configs[1], tmp_path / 'out', num=2)
    hidden, _, finds, mined, pictures = search.runner.stages
    search.runner.run(hidden, print)
    # the detector finds the labelled cell of each image, and one more that has no box
    boxes = np.array([[4, 4, 24, 24], [36, 36, 56, 56]], float)
    found = {i: Detections(boxes, 0.5 + 0.4 * rng.random(2), np.zeros(2, int)) for i in range(60)}
    finds.outputs[0].parent.mkdir(parents=True)
    finds.outputs[0].write_text('')
    monkeypatch.setattr(cell_mining, 'load_predictions', lambda path: found)
    search.runner.run(mined, print)
    search.runner.run(pictures, print)
    search.read(print)
    assert len(list(search.pictures.iterdir())) == 2
    text = search.summary()
    (row,) = search.mined['info']['mined']
    assert row['kept_share'] == pytest.approx(0.5, abs=0.15)  # one of each image's two cells
    assert f'cell: 60 boxes; about {100 * (1 - row["kept_share"]):.0f} % of the cells' in text
    assert f'mined_file={mined.outputs[0]}' in text
    assert 'model.teacher.checkpoint=' in text


def test_tells_the_student_to_learn_all_of_the_background(configs, tmp_path):
    def last_word(**head):
        config = Config.fromfile(configs[1])
        config.model.bbox_head = dict(type='SSDStudentHead', num_classes=1, **head)
        config.dump(configs[1])
        search = MissingCells(configs[1], tmp_path / 'out')
        search.mined = dict(info=dict(mined=[]))
        return search.summary().split()[-1]

    assert last_word() == 'model.bbox_head.far_weight=0.1'
    assert last_word(far_weight=0.5) == 'model.bbox_head.far_weight=0.5'
    assert last_word(far_weight=None).startswith('model.teacher.config=')


def test_refuses_a_config_without_teacher_and_a_wrong_fraction(configs, tmp_path):
    with pytest.raises(ConfigError, match=r'no model\.teacher'):
        MissingCells(configs[0], tmp_path / 'out')
    with pytest.raises(ConfigError, match='--fraction: expected a number between 0 and 1, found 1'):
        MissingCells(configs[1], tmp_path / 'out', hidden=1)
