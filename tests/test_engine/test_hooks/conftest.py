"""Trainings of a tiny distilled SSD in this process."""

import itertools
from pathlib import Path

import pytest
from mmdet.utils import register_all_modules
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import ldwsccd_mmdet  # noqa: F401
from tests.runs import run_config
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

register_all_modules(init_default_scope=False)
NUMBER = itertools.count()
CLASSES = ('lsil', 'hsil', 'scc')


class Training:
    """A runner, and the text of its log."""

    def __init__(self, config):
        self.runner = Runner.from_cfg(config)

    def train(self):
        self.runner.train()
        return self

    @property
    def log(self):
        return next(Path(self.runner.log_dir).glob('*.log')).read_text(encoding='utf-8')


@pytest.fixture(scope='session')
def data(tmp_path_factory, make_tiny_coco):
    folder = tmp_path_factory.mktemp('hooks')
    make_tiny_coco(folder, 'train')
    return make_tiny_coco(folder, 'val', num_images=2)


@pytest.fixture
def training(tmp_path, data, monkeypatch):
    """``training(hooks, edit, teacher)``: a run of 2 epochs of 2 steps, not started yet.

    ``teacher`` adds to the teacher's dict; ``edit`` changes the config before it is built.
    """
    init_default_scope('mmdet')
    # a runner formats its config for the log twice, which takes longer than the training
    monkeypatch.setattr('mmengine.config.Config.pretty_text', '')

    def make(hooks=(), edit=None, classes=CLASSES, **teacher):
        model_cfg = teacher_model_cfg()
        model_cfg.bbox_head.num_classes = len(classes)
        model = student_cfg(
            teacher=dict(zoo.save(model_cfg, tmp_path, classes), **teacher),
            distillation=distillation_cfg(feature_norm='standardize'),
            mil_head=mil_cfg(),
        )
        model.backbone.norm_cfg = dict(type='BN')
        config = run_config(model, data)
        number = next(NUMBER)
        config.experiment_name = f'hooks_{number}'
        config.work_dir = str(tmp_path / f'run_{number}')
        config.train_cfg.max_epochs = 2
        config.custom_hooks = [dict(type=hook) if isinstance(hook, str) else hook for hook in hooks]
        if edit is not None:
            edit(config)
        return Training(config)

    return make
