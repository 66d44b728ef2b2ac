import math

import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import SpatialPyramidPool


def brute_pool(x, roi, bins, scale):
    """The greatest value of each bin of one region, (C, bins * bins)."""
    image, (x1, y1, x2, y2) = int(roi[0]), [v * scale for v in roi[1:]]
    width, height = (x2 + scale - x1) / bins, (y2 + scale - y1) / bins
    out = []
    for row in range(bins):
        for column in range(bins):
            top, bottom = math.floor(y1 + row * height), math.ceil(y1 + (row + 1) * height)
            left, right = math.floor(x1 + column * width), math.ceil(x1 + (column + 1) * width)
            part = x[image, :, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
            out.append(
                part.flatten(1).max(dim=1).values if part.numel() else torch.zeros(len(x[0]))
            )
    return torch.stack(out, dim=1)


ROIS = [[0, 2.0, 4.0, 25.0, 21.0], [1, 0.0, 0.0, 47.0, 31.0], [0, 8.0, 8.0, 9.0, 9.0]]


def test_equals_the_loop():
    x = torch.randn(2, 3, 8, 12)
    out = SpatialPyramidPool((3, 2, 1), spatial_scale=0.25)(x, torch.tensor(ROIS))
    assert out.shape == (3, 3, 14, 1)
    for region, roi in enumerate(ROIS):
        expected = torch.cat([brute_pool(x, roi, bins, 0.25) for bins in (3, 2, 1)], dim=1)
        torch.testing.assert_close(out[region, ..., 0], expected)


def test_any_region_gives_50_numbers_a_channel_and_the_last_is_its_maximum():
    layer = SpatialPyramidPool()
    x = torch.randn(1, 2, 16, 16)
    out = layer(x, torch.tensor([[0, 0.0, 0.0, 15.0, 15.0], [0, 3.0, 3.0, 3.0, 3.0]]))
    assert out.shape == (2, 2, *layer.output_size) == (2, 2, 50, 1)
    torch.testing.assert_close(out[0, :, -1, 0], x[0].flatten(1).max(dim=1).values)
    assert (out[1] == x[0, :, 3, 3][:, None, None]).all()


def test_gradient_and_a_map_of_one_cell():
    x = torch.randn(1, 2, 1, 1, requires_grad=True)
    out = SpatialPyramidPool((2, 1), spatial_scale=1 / 16)(x, torch.tensor([[0, 0.0, 0, 15, 15]]))
    out.sum().backward()
    assert torch.equal(out, x.expand(1, 2, 5, 1))
    assert (x.grad == 5).all()


def test_serves_a_roi_head():
    """Two maps, and a bbox head behind the pyramid; no region, too."""
    cfg = dict(type='SPPRoIExtractor', out_channels=4, featmap_strides=[8, 16], pyramid=(2, 1))
    extractor = MODELS.build(cfg)
    head = MODELS.build(
        dict(
            type='Shared2FCBBoxHead',
            in_channels=4,
            fc_out_channels=8,
            roi_feat_size=(5, 1),
            num_classes=2,
            bbox_coder=dict(type='DeltaXYWHBBoxCoder'),
        )
    )
    maps = (torch.randn(2, 4, 32, 32), torch.randn(2, 4, 16, 16))
    rois = torch.tensor([[0, 0.0, 0, 40, 40], [1, 10.0, 10, 240, 200]])
    feats = extractor(maps, rois)
    assert feats.shape == (2, 4, 5, 1)
    direct = SpatialPyramidPool((2, 1), 1 / 8)(maps[0], rois[:1])
    torch.testing.assert_close(feats[:1], direct)
    scores, deltas = head(feats)
    assert scores.shape == (2, 3) and deltas.shape == (2, 8)
    assert extractor(maps, rois[:0]).shape == (0, 4, 5, 1)


@pytest.mark.parametrize('pyramid', [(), (2, 0)])
def test_errors(pyramid):
    with pytest.raises(ConfigError, match='pyramid'):
        SpatialPyramidPool(pyramid)
