import pytest
import torch

from ldwsccd_mmdet.models.utils import RegionBatch


@pytest.mark.parametrize('counts', [[3, 1, 0], [2, 2, 2], [0, 0], [4]])
@pytest.mark.parametrize('min_size', [0, 1])
def test_pad_puts_each_image_in_its_row(counts, min_size):
    batch = RegionBatch(counts, min_size=min_size)
    flat = torch.rand(sum(counts), 5, requires_grad=True)
    padded = batch.pad(flat)
    assert padded.shape == (len(counts), max([*counts, min_size]), 5)
    for row, mask, region in zip(padded, batch.mask, flat.split(counts), strict=True):
        assert torch.equal(row[: len(region)], region)
        assert not row[len(region) :].any()
        assert mask.tolist() == [i < len(region) for i in range(len(row))]
    assert (batch.valid is None) == batch.mask.all()
    padded.sum().backward()
    assert torch.equal(flat.grad, torch.ones_like(flat))


def test_whole_numbers_and_vectors():
    batch = RegionBatch([1, 2])
    assert batch.pad(torch.tensor([7, 8, 9])).tolist() == [[7, 0], [8, 9]]
