import pytest
import torch
import torch.nn.functional as F

from ldwsccd_mmdet.models.utils import LocalConv2d


@pytest.mark.parametrize('size', [1, 3])
def test_equals_the_loop(size):
    layer = LocalConv2d(2, 3, size)
    layer.bias.data.normal_()
    x = torch.randn(2, 2, size, size)
    padded = F.pad(x, (1, 1, 1, 1))
    expected = torch.empty(2, 3, size, size)
    for row in range(size):
        for column in range(size):
            patch = padded[:, :, row : row + 3, column : column + 3]
            for out in range(3):
                weight = layer.weight[row * size + column, out]
                value = (patch * weight).sum(dim=(1, 2, 3)) + layer.bias[out, row, column]
                expected[:, out, row, column] = value
    torch.testing.assert_close(layer(x), expected)


def test_equal_weights_make_a_convolution():
    layer = LocalConv2d(2, 3, 4)
    layer.weight.data[:] = layer.weight.data[0]
    x = torch.randn(2, 2, 4, 4)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight[0], padding=1))


def test_gradcheck():
    layer = LocalConv2d(1, 2, 2).double()
    x = torch.randn(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
