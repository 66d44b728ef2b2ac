import math

import pytest
import torch

from ldwsccd_mmdet.models.losses import image_level_loss, mil_scores


def brute_force_scores(cls_logits, det_logits):
    """Eq. 15, region by region."""
    num_regions, num_classes = cls_logits.shape
    region = torch.zeros(num_regions, num_classes, dtype=torch.float64)
    for r in range(num_regions):
        for c in range(num_classes):
            over_classes = sum(math.exp(cls_logits[r, k]) for k in range(num_classes))
            over_regions = sum(math.exp(det_logits[k, c]) for k in range(num_regions))
            region[r, c] = (
                math.exp(cls_logits[r, c])
                / over_classes
                * math.exp(det_logits[r, c])
                / over_regions
            )
    return region, region.sum(0)


@pytest.mark.parametrize('shape', [(6, 4), (1, 4), (5, 1), (1, 1)])
def test_scores_are_eq_15(shape):
    cls_logits, det_logits = torch.randn(2, *shape, dtype=torch.float64)
    region, image = mil_scores(cls_logits, det_logits)
    expected_region, expected_image = brute_force_scores(cls_logits, det_logits)
    torch.testing.assert_close(region, expected_region)
    torch.testing.assert_close(image, expected_image)
    assert (image <= 1 + 1e-9).all()


def test_regions_of_one_image_only():
    """A padded batch gives what each image gives alone, an image without regions 0."""
    logits = torch.randn(2, 3, 5, 4)
    counts = [5, 2, 0]
    valid = torch.arange(5) < torch.tensor(counts)[:, None]
    region, image = mil_scores(logits[0], logits[1], valid)
    for n, count in enumerate(counts[:2]):
        single = mil_scores(logits[0, n, :count], logits[1, n, :count])
        torch.testing.assert_close(region[n, :count], single[0])
        torch.testing.assert_close(image[n], single[1])
        assert region[n, count:].abs().sum() == 0
    assert image[2].tolist() == [0, 0, 0, 0]


def test_no_region_has_no_nan():
    region, image = mil_scores(torch.zeros(0, 3), torch.zeros(0, 3))
    assert region.shape == (0, 3)
    assert image.tolist() == [0, 0, 0]


def test_loss_is_binary_cross_entropy():
    mu = torch.tensor([0.2, 0.7, 0.5], dtype=torch.float64)
    y = torch.tensor([1, 0, 1])
    terms = [-math.log(0.2), -math.log(0.3), -math.log(0.5)]
    assert image_level_loss(mu, y).item() == pytest.approx(sum(terms) / 3)
    assert image_level_loss(mu, y, reduction='sum').item() == pytest.approx(sum(terms))
    assert image_level_loss(mu, y, reduction='none').tolist() == pytest.approx(terms)


def test_loss_has_its_minimum_at_the_labels():
    """The print's (1 - y)(1 - log mu) would fall without end towards mu = 1."""
    y = torch.tensor([0.0, 1.0])
    assert image_level_loss(y.clone(), y) < image_level_loss(torch.tensor([0.1, 0.9]), y)
    assert image_level_loss(torch.tensor([0.9, 0.9]), y) > image_level_loss(
        torch.tensor([0.1, 0.9]), y
    )


def test_loss_is_finite_at_the_ends():
    assert torch.isfinite(image_level_loss(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])))


def test_float32_under_autocast():
    logits = torch.randn(2, 6, 3).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        region, image = mil_scores(logits[0], logits[1])
        loss = image_level_loss(image.bfloat16(), torch.ones(3))
    assert region.dtype == image.dtype == loss.dtype == torch.float32


def test_gradcheck():
    logits = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([1.0, 0.0, 1.0])
    assert torch.autograd.gradcheck(
        lambda x: image_level_loss(mil_scores(x[0], x[1])[1], y), logits
    )


def test_bad_input():
    with pytest.raises(ValueError, match='the shape of'):
        mil_scores(torch.zeros(3, 2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match='the shape of'):
        image_level_loss(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="found 'max'"):
        image_level_loss(torch.zeros(3), torch.zeros(3), reduction='max')
