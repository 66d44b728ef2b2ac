import pytest
import torch

from ldwsccd_mmdet.models.utils import at_least_float32, float_dtype, no_autocast


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_half_becomes_float32_and_double_stays(dtype, expected):
    x = torch.ones(2, 3, dtype=dtype)
    assert float_dtype(x) == at_least_float32(x).dtype == expected
    assert at_least_float32(x) is x or dtype != expected


def test_a_product_under_autocast_is_exact_within():
    a, b = torch.full((1, 1), 1.001), torch.ones(1, 1)
    with torch.autocast('cpu', torch.bfloat16):
        assert (a @ b).dtype == torch.bfloat16
        with no_autocast(a):
            assert (a @ b).item() == a.item()
