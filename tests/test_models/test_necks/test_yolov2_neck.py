import numpy as np
import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import YOLOv2Neck
from ldwsccd_mmdet.models.necks.yolov2_neck import reorg


def brute_reorg(x: np.ndarray, stride: int) -> np.ndarray:
    """Darknet's layer, cell after cell: it reads the memory as a larger map of fewer channels."""
    n, channels, height, width = x.shape
    few = channels // stride**2
    memory = x.reshape(n, few, stride * height, stride * width)
    out = np.empty_like(x)
    for k in range(channels):
        c, offset = k % few, k // few
        for j in range(height):
            for i in range(width):
                row, column = j * stride + offset // stride, i * stride + offset % stride
                out[:, k, j, i] = memory[:, c, row, column]
    return out.reshape(n, channels * stride**2, height // stride, width // stride)


@pytest.mark.parametrize(
    ('shape', 'stride'), [((2, 8, 4, 6), 2), ((1, 4, 2, 2), 2), ((1, 9, 3, 6), 3)]
)
def test_reorg_is_darknet_s(shape, stride):
    x = torch.arange(np.prod(shape)).float().view(shape)
    expected = brute_reorg(x.numpy(), stride)
    assert np.array_equal(reorg(x, stride).numpy(), expected)
    laid_out = x.to(memory_format=torch.channels_last)
    assert np.array_equal(reorg(laid_out, stride).numpy(), expected)


@pytest.mark.parametrize('size', [(4, 6), (1, 1)])
def test_is_its_formula(size):
    neck = YOLOv2Neck((8, 16), out_channels=12, passthrough_channels=4)
    neck.init_weights()
    neck.eval()
    fine, coarse = torch.randn(2, 8, 2 * size[0], 2 * size[1]), torch.randn(2, 16, *size)
    (out,) = neck((fine, coarse))
    assert out.shape == (2, 12, *size)
    passed = reorg(neck.passthrough(fine))
    expected = neck.fuse(torch.cat([passed, neck.conv2(neck.conv1(coarse))], dim=1))
    torch.testing.assert_close(out, expected)


def test_errors():
    with pytest.raises(ConfigError, match='in_channels'):
        YOLOv2Neck((8,))
    with pytest.raises(ConfigError, match='passthrough_channels'):
        YOLOv2Neck((8, 16), passthrough_channels=6)
    neck = YOLOv2Neck((8, 16), 8, 4)
    with pytest.raises(ConfigError, match='pad_size_divisor'):
        neck((torch.randn(1, 8, 3, 4), torch.randn(1, 16, 2, 2)))
