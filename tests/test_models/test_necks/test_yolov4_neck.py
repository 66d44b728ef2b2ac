import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import YOLOv4Neck


@pytest.mark.parametrize('sizes', [[(8, 12), (4, 6), (2, 3)], [(7, 5), (4, 3), (2, 2)]])
def test_shapes(sizes):
    neck = YOLOv4Neck((16, 24, 32), (8, 16, 24)).train()
    neck.init_weights()
    maps = [torch.randn(2, c, *s) for c, s in zip((16, 24, 32), sizes, strict=True)]
    outs = neck(maps)
    assert [tuple(out.shape) for out in outs] == [
        (2, c, *s) for c, s in zip((8, 16, 24), sizes, strict=True)
    ]
    sum(out.square().mean() for out in outs).backward()
    for name, parameter in neck.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_every_map_sees_every_level():
    neck = YOLOv4Neck((8, 8, 8), (8, 8, 8)).eval()
    for source in range(3):
        maps = [torch.randn(1, 8, s, s) for s in (8, 4, 2)]
        before = neck(maps)
        maps[source] = maps[source] + 1
        for out, old in zip(neck(maps), before, strict=True):
            assert not torch.allclose(out, old)


def test_serves_another_detector():
    """Two levels under RetinaNet, built from a config."""
    cfg = dict(
        type='RetinaNet',
        backbone=dict(
            type='CSPDarknet53', deepen_factor=0.1, widen_factor=0.125, out_indices=(4, 5)
        ),
        neck=dict(type='YOLOv4Neck', in_channels=(64, 128), out_channels=(32, 32)),
        bbox_head=dict(
            type='RetinaHead',
            num_classes=2,
            in_channels=32,
            feat_channels=32,
            anchor_generator=dict(
                type='AnchorGenerator', ratios=[1.0], scales=[4], strides=[16, 32]
            ),
        ),
    )
    model = MODELS.build(cfg).eval()
    outs = model(torch.randn(1, 3, 64, 64))
    assert [tuple(score.shape[-2:]) for score in outs[0]] == [(4, 4), (2, 2)]


def test_errors():
    with pytest.raises(ConfigError, match='in_channels'):
        YOLOv4Neck((8, 8), (8, 8, 8))
    with pytest.raises(ConfigError, match='spp_kernels'):
        YOLOv4Neck((8, 8), (8, 8), spp_kernels=(4,))
