"""mmdet's own ways to detect, and SAHI's, work with every shipped config."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in path.parts
)
NARROW = 'configs/ldwsccd/ssd256-narrow_bccd.py'

TINY_MODEL = dict(
    type='RetinaNet',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[0, 0, 0], std=[255, 255, 255]),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=4,
        num_stages=2,
        out_indices=(1,),
        strides=(1, 2),
        dilations=(1, 1),
    ),
    neck=dict(type='FPN', in_channels=[8], out_channels=8, num_outs=1),
    bbox_head=dict(
        type='RetinaHead',
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        anchor_generator=dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8]),
        bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
    ),
    test_cfg=dict(
        nms_pre=20,
        min_bbox_size=0,
        score_thr=0.0,
        max_per_img=5,
        nms=dict(type='nms', iou_threshold=0.5),
    ),
)


def load(path: str) -> Config:
    config = Config.fromfile(ROOT / path)
    config.pop('work_dir', None)
    return config


def save_weights(config: Config, file: Path) -> str:
    init_default_scope('mmdet')
    model = MODELS.build(config.model)
    classes = tuple(f'class {i}' for i in range(model.bbox_head.num_classes))
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), file
    )
    return str(file)


@pytest.fixture(scope='module')
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp('image') / 'a.png'
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8))
    return file


@pytest.fixture(scope='module')
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_weights(Config(dict(model=TINY_MODEL)), tmp_path_factory.mktemp('w') / 'tiny.pth')


@pytest.mark.parametrize('path', CONFIGS)
def test_det_inferencer_takes_the_pipeline(path: str, image: Path, tiny_weights: str) -> None:
    """What mmdet looks for is in the pipeline; the networks have tests of their own."""
    config = load(path)
    config.model = TINY_MODEL
    detect = DetInferencer(config, tiny_weights, device='cpu', show_progress=False)
    from_file = detect(str(image))['predictions'][0]
    from_array = detect(cv2.imread(str(image)))['predictions'][0]
    assert len(from_file['bboxes']) and from_file == from_array


@pytest.fixture(scope='module')
def narrow(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A small shipped config, network included, as file, with random weights."""
    folder = tmp_path_factory.mktemp('narrow')
    config = load(NARROW)
    config.model.test_cfg.score_thr = 0.0
    config.dump(str(folder / 'config.py'))
    return str(folder / 'config.py'), save_weights(config, folder / 'weights.pth')


def test_det_inferencer_and_init_detector_agree(narrow: tuple[str, str], image: Path) -> None:
    detect = DetInferencer(*narrow, device='cpu', show_progress=False)
    predicted = detect(str(image))['predictions'][0]
    detector = init_detector(*narrow, device='cpu')
    for given in (str(image), cv2.imread(str(image))):
        found = inference_detector(detector, given).pred_instances
        assert np.allclose(found.bboxes.numpy(), predicted['bboxes'], atol=1e-4)
        assert found.labels.tolist() == predicted['labels']


def test_image_demo_writes_pictures(narrow: tuple[str, str], image: Path, tmp_path: Path) -> None:
    """What mmdet's demo/image_demo.py calls."""
    DetInferencer(*narrow, device='cpu', show_progress=False)(
        inputs=str(image), out_dir=str(tmp_path), no_save_pred=False, pred_score_thr=0.0
    )
    assert (tmp_path / 'vis' / image.name).is_file() and (tmp_path / 'preds' / 'a.json').is_file()


def test_sahi(narrow: tuple[str, str], image: Path) -> None:
    pytest.importorskip('sahi', reason="needs pip install 'ldwsccd_mmdet[tiles]'")
    from sahi import AutoDetectionModel
    from sahi.predict import get_prediction, get_sliced_prediction

    config, weights = narrow
    model = AutoDetectionModel.from_pretrained(
        'mmdet', model_path=weights, config_path=config, device='cpu', confidence_threshold=0.0
    )
    assert len(get_prediction(str(image), model).object_prediction_list)
    sliced = get_sliced_prediction(str(image), model, slice_height=64, slice_width=64, verbose=0)
    assert len(sliced.object_prediction_list)
