import pytest
import torch

from ldwsccd_mmdet.engine.distillation_scale import (
    DistillationScale,
    term_weights,
    weights_for_shares,
)
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import LocalDistillationLoss


def scales(*values):
    return [DistillationScale(loss, torch.tensor(levels), {}) for loss, levels in values]


def test_terms_then_have_the_shares():
    """By a loop over batches, levels and terms."""
    batches = scales(
        (8.0, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), (4.0, [[2.0, 1.0, 0.5], [3.0, 1.0, 1.5]])
    )
    level_weights = (0.5, 2.0)
    shares = (0.2, 0.1, 0.05)
    weights = weights_for_shares(batches, level_weights, shares)
    for term in range(3):
        total = 0.0
        for batch in batches:
            for level in range(2):
                total += weights[term] * level_weights[level] * float(batch.levels[level, term])
        assert total == pytest.approx(shares[term] * 12.0)


def test_no_share_is_no_weight():
    """Also of a term that is 0."""
    batches = scales((2.0, [[0.0, 1.0, 1.0]]))
    assert weights_for_shares(batches, (1.0,), (0.0, 0.5, 0.0)) == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(('term', 'name'), [(0, 'alpha: the foreground'), (2, 'gamma: the atten')])
def test_share_of_nothing(term, name):
    levels = [[1.0, 1.0, 1.0]]
    levels[0][term] = 0.0
    with pytest.raises(ConfigError, match=f'model.distillation.{name}.* is 0 in all batches.*10 %'):
        weights_for_shares(scales((2.0, levels)), (1.0,), (0.1, 0.1, 0.1))


def test_term_weights():
    loss = LocalDistillationLoss(
        (4, 4), (4, 4), alpha=1.0, beta=2.0, gamma=3.0, feature_norm=None, level_weights=(1.0, 0.5)
    )
    assert term_weights(loss).tolist() == [[1.0, 2.0, 3.0], [0.5, 1.0, 1.5]]
    feats = [torch.randn(2, 4, 6, 6), torch.randn(2, 4, 3, 3)]
    others = [torch.randn_like(feat) for feat in feats]
    inputs = (feats, others, [torch.tensor([[0.0, 0.0, 20.0, 20.0]])] * 2, (48, 48))
    weighted = (loss.level_losses(*inputs) * term_weights(loss)).sum(dim=0)
    torch.testing.assert_close(weighted, torch.stack(list(loss(*inputs).values())))
