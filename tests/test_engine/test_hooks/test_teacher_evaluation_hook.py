import re

import pytest
import torch

HOOK = 'TeacherEvaluationHook'


def metric(log, name):
    return [float(value) for value in re.findall(rf'[ \t]{name}: (-?[\d.]+)', log)]


def test_teachers_ap_stands_beside_the_students(training, monkeypatch):
    """It is evaluated once, and its AP is that of a test of the teacher by itself."""
    run = training([HOOK])
    calls = []
    teacher_step = type(run.runner.model).val_step

    def count(self, data):
        calls.append(type(self).__name__)
        return teacher_step(self, data)

    monkeypatch.setattr('mmengine.model.BaseModel.val_step', count)
    run.train()
    assert calls == ['LDWSCCD', 'SingleStageDetector', 'LDWSCCD']
    students = metric(run.log, 'coco/bbox_mAP_50')
    teachers = metric(run.log, 'teacher/coco/bbox_mAP_50')
    assert len(students) == len(teachers) == 2  # at every validation
    assert teachers[0] == teachers[1]

    def alone(config):
        teacher = run.runner.cfg.model.teacher
        config.model = teacher.config.model
        config.load_from = teacher['checkpoint']

    alone_metrics = training([], alone).runner.test()
    assert alone_metrics['coco/bbox_mAP_50'] == pytest.approx(teachers[0], abs=1e-4)


def test_resumed_run_keeps_it(training, monkeypatch):
    first = training([HOOK]).train()

    def resume(config):
        config.load_from = f'{first.runner.work_dir}/epoch_2.pth'
        config.resume = True
        config.train_cfg.max_epochs = 3

    run = training([HOOK], resume)
    monkeypatch.setattr(
        'ldwsccd_mmdet.engine.hooks.teacher_evaluation_hook._evaluate', None
    )  # would fail
    log = run.train().log
    assert (
        metric(log, 'teacher/coco/bbox_mAP_50') == metric(first.log, 'teacher/coco/bbox_mAP_50')[:1]
    )


def reason(log):
    return re.search(r'The AP of the teacher is not shown: (.*)', log)[1]


def test_other_classes(training):
    log = training([HOOK], classes=('hsil', 'lsil', 'scc')).train().log
    assert reason(log).startswith('its classes are not those of the data')
    assert 'teacher/coco' not in log


def test_checkpoint_without_a_head(training, tmp_path):
    run = training([HOOK])
    state = torch.load(tmp_path / 'teacher.pth', weights_only=True)
    state['state_dict'] = {
        key: value for key, value in state['state_dict'].items() if 'bbox_head' not in key
    }
    torch.save(state, tmp_path / 'teacher.pth')
    assert re.match(
        r'its checkpoint lacks \d+ weights of its head, first bbox_head', reason(run.train().log)
    )


def test_teacher_that_cannot_predict(training):
    """As mmdet's own SSDHead; training goes on."""
    run = training([HOOK])
    teacher = run.runner.model.teacher

    def fail(*args, **kwargs):
        raise AttributeError("'SSDHead' object has no attribute 'loss_cls'")

    teacher.model.predict = fail
    log = run.train().log
    assert reason(log).startswith("its prediction fails (AttributeError: 'SSDHead' object has no")
    assert metric(log, 'coco/bbox_mAP_50') != []
