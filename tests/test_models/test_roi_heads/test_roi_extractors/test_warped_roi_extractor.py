import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError


def build(**kwargs):
    return MODELS.build(dict(type='WarpedRoIExtractor', **kwargs))


def ramp(height=40, width=60):
    """A picture whose channels are x, y and 1."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    return torch.stack([x, y, torch.ones_like(x)]).float()[None]


@pytest.mark.parametrize('context', [0, 2])
def test_a_square_shows_the_region_and_its_surroundings(context):
    """On a ramp each pixel of the square is its own place: compared with the loop."""
    box = (20.0, 10.0, 36.0, 26.0)
    crop = build(output_size=8, context=context).squares(ramp(), torch.tensor([[0, *box]]))[0]
    side = 16 * 8 / (8 - 2 * context)
    for row in range(8):
        for column in range(8):
            # RoIAlign takes the centre of a bin; a pixel's value stands at its centre
            x = 28 - side / 2 + (column + 0.5) * side / 8 - 0.5
            y = 18 - side / 2 + (row + 0.5) * side / 8 - 0.5
            assert crop[0, row, column].item() == pytest.approx(x, abs=1e-4)
            assert crop[1, row, column].item() == pytest.approx(y, abs=1e-4)


def test_outside_the_image_is_the_mean_colour():
    crop = build(output_size=8, context=0).squares(
        ramp(), torch.tensor([[0, -40.0, 0.0, 40.0, 40.0]])
    )
    assert not crop[0, 2, :, :3].any() and crop[0, 2, :, 5:].eq(1).all()


def test_gives_what_the_network_makes_of_each_region():
    extractor = build(output_size=8, context=1, out_channels=3)
    extractor.network = lambda crops: crops.mean(dim=(2, 3), keepdim=True)
    rois = torch.tensor([[0, 4.0, 4, 20, 20], [0, 30, 8, 50, 30]])
    out = extractor((ramp(),), rois)
    assert out.shape == (2, 3, 1, 1)
    # the mean of a ramp is its middle
    torch.testing.assert_close(out[:, :2, 0, 0], torch.tensor([[11.5, 11.5], [39.5, 18.5]]))
    assert extractor((ramp(),), rois[:0]).shape == (0, 3, 1, 1)


def test_bad_context():
    with pytest.raises(ConfigError, match='WarpedRoIExtractor.context: .* found 4'):
        build(output_size=8, context=4)
