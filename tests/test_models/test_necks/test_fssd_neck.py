import pytest
import torch
import torch.nn.functional as F

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import FSSDNeck


def neck(**kwargs):
    cfg = dict(
        in_channels=(8, 16),
        out_channels=(8, 16, 8),
        level_strides=(2, 2),
        level_paddings=(1, 1),
        last_kernel_size=3,
        source_channels=8,
        fusion_channels=4,
    )
    made = FSSDNeck(**{**cfg, **kwargs})
    made.init_weights()
    return made


def test_is_the_formula():
    model = neck().eval()
    model.fusion_norm.running_mean.uniform_()
    model.fusion_norm.running_var.uniform_(0.5, 2)
    a, b = torch.randn(2, 8, 10, 14), torch.randn(2, 16, 5, 7)
    c = model.extra(b)
    assert c.shape == (2, 8, 3, 4)
    parts = [
        F.interpolate(
            F.conv2d(x, t.conv.weight, t.conv.bias), (10, 14), mode='bilinear', align_corners=False
        )
        for t, x in zip(model.transforms, (a, b, c), strict=True)
    ]
    x = torch.cat(parts, dim=1)
    norm = model.fusion_norm
    x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    for level, (out, conv) in enumerate(zip(model((a, b)), model.pyramid, strict=True)):
        x = F.relu(F.conv2d(x, conv.conv.weight, conv.conv.bias, 1 if level == 0 else 2, 1))
        torch.testing.assert_close(out, x)


@pytest.mark.parametrize(
    ('size', 'expected', 'cfg'),
    [
        (
            64,
            [64, 32, 16, 8, 4, 2, 1],
            dict(level_strides=(2, 2, 2, 2, 2, 1), level_paddings=(1,) * 6, last_kernel_size=4),
        ),
        (
            38,
            [38, 19, 10, 5, 3, 1],
            dict(level_strides=(2, 2, 2, 1, 1), level_paddings=(1, 1, 1, 0, 0)),
        ),
    ],
)
def test_map_sizes_are_those_of_ssd512_and_ssd300(size, expected, cfg):
    model = neck(out_channels=(8,) * len(expected), **cfg).eval()
    outs = model((torch.randn(1, 8, size, size), torch.randn(1, 16, size // 2, size // 2)))
    assert [out.shape[-1] for out in outs] == expected


def test_gradient():
    model = neck().train()
    outs = model((torch.randn(2, 8, 8, 8), torch.randn(2, 16, 4, 4)))
    sum(out.square().mean() for out in outs).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_errors():
    with pytest.raises(ConfigError, match='level_strides'):
        neck(level_strides=(2,))
