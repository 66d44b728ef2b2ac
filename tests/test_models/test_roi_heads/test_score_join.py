import pytest
import torch

from ldwsccd_mmdet.models.roi_heads import ScoreJoin


def data(n=4000, w=(1.5, 0.5), b=(1.0, 2.0), seed=0):
    """Boxes whose scores tell of cells as the join supposes."""
    rng = torch.Generator().manual_seed(seed)
    ssd, mil = torch.rand(2, n, generator=rng).clamp(min=1e-3)
    labels = torch.randint(0, 2, (n,), generator=rng)
    z = w[0] * ssd.log() + w[1] * mil.log() + torch.tensor(b)[labels]
    return ssd, mil, labels, torch.rand(n, generator=rng) < z.sigmoid()


def test_recovers_the_weights():
    join = ScoreJoin(2)
    join.fit(*data(40000))
    assert join.weights.tolist() == pytest.approx([1.5, 0.5], abs=0.1)
    assert join.bias.tolist() == pytest.approx([1.0, 2.0], abs=0.15)


def test_is_the_minimum_of_the_penalised_loss():
    ssd, mil, labels, hits = data(300)
    join = ScoreJoin(2)
    join.fit(ssd, mil, labels, hits, ridge=10.0)
    x = torch.stack([ssd, mil], 1).double().log()
    x = torch.cat([x, torch.nn.functional.one_hot(labels, 2).double()], 1)
    theta = torch.cat([join.weights, join.bias]).double().requires_grad_()
    z = x @ theta
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, hits.double(), reduction='sum')
    loss = loss + 5 * (theta[0] - theta[1]) ** 2
    loss = loss + 0.5 * ((theta[2:] - theta[2:].mean()) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, theta)
    assert gradient.abs().max() < 1e-2


def test_few_boxes_keep_the_weights_equal():
    ssd, mil, labels, hits = data(12)
    join = ScoreJoin(2)
    join.fit(ssd, mil, labels, hits, ridge=1e6)
    assert join.weights[0].item() == pytest.approx(join.weights[1].item(), abs=1e-3)
    order = join(ssd[:, None].expand(-1, 2), mil[:, None].expand(-1, 2))[:, 0].argsort()
    if join.weights[0] > 0:
        assert order.tolist() == (ssd * mil).argsort().tolist()


def test_a_head_of_no_use_is_left_out():
    ssd, mil, labels, hits = data(4000, w=(1.5, -1.0))
    join = ScoreJoin(2)
    join.fit(ssd, mil, labels, hits, ridge=0.1)
    assert join.weights[1] == 0
    assert join.weights[0] > 1


def test_unfitted_is_the_geometric_mean():
    ssd, mil = torch.rand(2, 5, 3)
    torch.testing.assert_close(ScoreJoin(3)(ssd, mil), (ssd * mil).sqrt())


@pytest.mark.parametrize(
    'hits', [torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)]
)
def test_nothing_to_learn_from_leaves_it_unfitted(hits):
    join = ScoreJoin(2)
    join.fit(torch.rand(3), torch.rand(3), torch.zeros(3, dtype=torch.long), hits)
    assert not join.fitted


def test_state_dict():
    join, other = ScoreJoin(2), ScoreJoin(2)
    join.fit(*data(300))
    other.load_state_dict(join.state_dict())
    ssd, mil = torch.rand(2, 5, 2)
    torch.testing.assert_close(other(ssd, mil), join(ssd, mil))
    ScoreJoin(2).load_state_dict({})  # a checkpoint of before there was a join
