"""A tiny student, and a tiny teacher of another normalisation on disk."""

import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

import ldwsccd_mmdet  # noqa: F401
from tests.test_models.helpers import NUM_CLASSES, head_cfg, predict_cfg, train_cfg


def student_cfg(**kwargs):
    """Student: VGG11 of width 1/64, maps of strides 8, 16, 32."""
    cfg = dict(
        type='LDWSCCD',
        data_preprocessor=dict(
            type='DetDataPreprocessor', mean=[120.0, 110.0, 100.0], std=[1, 1, 1], bgr_to_rgb=True
        ),
        backbone=dict(type='ScaledSSDVGG', depth=11, widen_factor=1 / 64),
        neck=dict(
            type='SSDNeck',
            in_channels=(8, 16),
            out_channels=(8, 16, 8),
            level_strides=(2,),
            level_paddings=(1,),
        ),
        bbox_head=head_cfg(),
        train_cfg=train_cfg(),
        test_cfg=predict_cfg(),
    )
    cfg.update(copy.deepcopy(kwargs))
    return Config(dict(model=cfg)).model


def teacher_model_cfg():
    """Teacher: a wider SSD that wants BGR with standard deviation 50."""
    cfg = student_cfg(type='SingleStageDetector')
    cfg.data_preprocessor = dict(
        type='DetDataPreprocessor', mean=[90.0, 100.0, 110.0], std=[50.0, 51.0, 52.0]
    )
    cfg.backbone.widen_factor = 1 / 32
    cfg.neck.update(in_channels=(16, 32), out_channels=(16, 32, 8))
    cfg.bbox_head.update(in_channels=(16, 32, 8))
    return cfg


def distillation_cfg(**kwargs):
    cfg = dict(
        type='LocalDistillationLoss',
        student_channels=(8, 16, 8),
        teacher_channels=(16, 32, 8),
        feature_norm=None,
    )
    return dict(cfg, **kwargs)


def mil_cfg(**kwargs):
    cfg = dict(
        type='MILRefinementHead',
        num_classes=NUM_CLASSES,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            out_channels=8,
            featmap_strides=[8],
        ),
        num_stages=2,
        fc_out_channels=16,
    )
    return dict(cfg, **kwargs)


@pytest.fixture
def teacher(tmp_path):
    """``dict(config=..., checkpoint=...)`` of a randomly initialised teacher on disk."""
    cfg = teacher_model_cfg()
    Config(dict(model=cfg)).dump(tmp_path / 'teacher.py')
    model = MODELS.build(cfg)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict(), meta={}), tmp_path / 'teacher.pth')
    return dict(config=str(tmp_path / 'teacher.py'), checkpoint=str(tmp_path / 'teacher.pth'))


@pytest.fixture
def build(teacher):
    """``build(ldm=True, mil=True)`` makes one of the four models of Table 4."""

    def make(ldm=True, mil=True, **kwargs):
        parts = {}
        if ldm:
            parts.update(teacher=teacher, distillation=distillation_cfg())
        if mil:
            parts.update(mil_head=mil_cfg())
        model = MODELS.build(student_cfg(**{**parts, **kwargs}))
        for part in (model.backbone, model.neck, model.bbox_head):
            part.init_weights()  # mmdet's L2Norm starts from uninitialised memory
        return model

    return make
