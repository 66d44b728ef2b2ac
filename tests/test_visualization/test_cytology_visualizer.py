"""Pictures of samples: panels, names that can be read, and mmdet's hook around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer

from ldwsccd_mmdet.datasets.palette import class_palette
from ldwsccd_mmdet.visualization import CytologyVisualizer

GREY = np.full((512, 512, 3), 128, np.uint8)


def sample(truth: int = 1, found: int | None = 2, **meta) -> DetDataSample:
    result = DetDataSample(metainfo=meta)
    boxes = torch.tensor([[50.0, 60, 130, 140]])
    result.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes.repeat(truth, 1)), labels=torch.zeros(truth, dtype=torch.long)
    )
    if found is not None:
        result.pred_instances = InstanceData(
            bboxes=boxes.repeat(found, 1) + 200,
            labels=torch.ones(found, dtype=torch.long),
            scores=torch.linspace(0.9, 0.2, found),
        )
    return result


@pytest.fixture
def visualizer() -> CytologyVisualizer:
    built = CytologyVisualizer()
    built.dataset_meta = {'classes': ('ascus', 'hsil'), 'palette': [(1, 2, 250), (9, 8, 7)]}
    return built


def test_truth_left_and_detections_right(visualizer, tmp_path):
    file = tmp_path / 'drawn.png'
    visualizer.add_datasample('x', GREY, sample(), out_file=str(file))
    picture = cv2.imread(str(file))[..., ::-1]
    strip = picture.shape[0] - 1024  # enlarged twice, below a line of text
    assert 20 < strip < 40 and picture.shape[1] == 2 * 1024
    # left edges of both boxes, half way up, in the data set's colours
    assert picture[strip + 200, 101].tolist() == [1, 2, 250]
    assert picture[strip + 600, 1024 + 501].tolist() == [9, 8, 7]
    # the detection of score 0.2 is not drawn: no second name
    names = (picture[strip:] == (1, 2, 250)).all(-1)
    # a filled label in type of 18 px, not a line of 2 px
    rows = np.flatnonzero(names[:, 102:104].all(1))
    assert 18 <= len(rows) <= 30


@pytest.mark.parametrize(
    ('given', 'width'),
    [
        (sample(found=None), 1),
        (sample(truth=0, found=0), 2),
        (sample(found=0, truth=3), 2),
        (DetDataSample(), 0.5),
        (None, 0.5),
    ],
)
def test_panels(visualizer, given, width):
    visualizer.add_datasample('x', GREY, given)
    assert visualizer.get_image().shape[1] == 1024 * width


def test_image_labels_are_written(visualizer):
    def title(**meta):
        visualizer.add_datasample('x', GREY, sample(found=None, **meta))
        return (visualizer.get_image()[:25] < 128).sum()

    assert title() < title(image_labels=()) != title(image_labels=(0, 1)) > title(image_labels=(0,))


def test_without_class_names():
    visualizer = CytologyVisualizer(font_size=20, scale=1)
    visualizer.add_datasample('x', GREY, sample())
    picture = visualizer.get_image()
    assert picture.shape == (512 + 32, 1024, 3)
    assert picture[32 + 100, 51].tolist() == class_palette(1)[0].tolist()


def test_mmdet_draws_masks(visualizer):
    given = sample(found=None)
    given.gt_instances.bboxes = given.gt_instances.bboxes.tensor
    given.gt_instances.masks = torch.zeros(1, 512, 512, dtype=torch.bool)
    visualizer.add_datasample('x', GREY, given)
    assert visualizer.get_image().shape == (512, 1024, 3)  # not enlarged, no title


def test_the_hook_of_our_configs_draws_so(tmp_path, monkeypatch):
    config = Config.fromfile('configs/_base_/default_runtime.py')
    assert config.visualizer.type == 'CytologyVisualizer'
    monkeypatch.setattr(Visualizer, '_instance_dict', type(Visualizer._instance_dict)())
    made = VISUALIZERS.build({**config.visualizer, 'save_dir': str(tmp_path)})
    made.dataset_meta = {'classes': ('ascus', 'hsil')}
    cv2.imwrite(str(tmp_path / 'field.png'), GREY)

    class FakeRunner:
        work_dir, timestamp = str(tmp_path), 'now'

    hook = DetVisualizationHook(draw=True, test_out_dir='drawn')
    hook.after_test_iter(FakeRunner, 0, {}, [sample(img_path=str(tmp_path / 'field.png'))])
    drawn = cv2.imread(str(tmp_path / 'now' / 'drawn' / 'field.png'))
    assert drawn.shape[1] == 2048
