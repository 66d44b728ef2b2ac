from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from ldwsccd_mmdet.errors import DatasetError
from tests.test_models.helpers import NUM_CLASSES, sample
from tests.test_models.test_detectors.zoo import _resnet_fpn

ROOT = Path(__file__).resolve().parents[3]
REGIONS = np.array([[10, 10, 60, 60, 0.9], [40, 20, 120, 100, 0.8], [0, 0, 128, 128, 0.1]])


@pytest.fixture
def model(tmp_path):
    """Narrow Fast R-CNN with the regions of a file, in pixels of images twice as large."""
    np.savez(tmp_path / 'regions.npz', **{'0': REGIONS})
    config = Config.fromfile(ROOT / 'configs/fast_rcnn/fast-rcnn_r50-fpn_adamw_ccd.py')
    cfg = config.model
    _resnet_fpn(cfg)
    cfg.roi_head.bbox_roi_extractor.out_channels = 16
    cfg.roi_head.bbox_head.update(num_classes=NUM_CLASSES, in_channels=16, fc_out_channels=16)
    cfg.proposer = dict(type='FileProposer', file=str(tmp_path / 'regions.npz'))
    made = MODELS.build(cfg)
    made.init_weights()
    return made


def test_trains_and_predicts_on_the_regions(model, monkeypatch):
    batch = [sample([[5, 5, 30, 30]], [1]), sample([], [])]
    x = torch.randn(2, 3, 64, 64)
    model.train()
    total, _ = model.parse_losses(model.loss(x, batch))
    total.backward()
    assert torch.isfinite(total)

    seen = []
    forward = model.roi_head.predict
    monkeypatch.setattr(
        model.roi_head,
        'predict',
        lambda x, regions, samples, rescale: (
            seen.extend(r.bboxes for r in regions) or forward(x, regions, samples, rescale)
        ),
    )
    model.eval()
    with torch.no_grad():
        result = model.predict(x, batch)
    assert torch.isfinite(result[0].pred_instances.bboxes).all()
    # the sample was scaled by a half
    expected = torch.from_numpy(REGIONS[:, :4] / 2).float()
    for bboxes in seen:
        torch.testing.assert_close(bboxes, expected)


def test_an_image_without_regions_is_named(model):
    other = sample([], [])
    other.set_metainfo(dict(img_id=7))
    with pytest.raises(DatasetError, match="no regions of image img_id='7'"):
        model.predict(torch.randn(1, 3, 64, 64), [other])
