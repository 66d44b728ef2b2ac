"""The loss of the logits against loops and limiting cases."""

import math

import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import LogitDistillationLoss


def logits(n=3, priors=7, classes=3, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n, priors, classes + 1, dtype=dtype, generator=rng)


def softmax(row, temperature=1.0):
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def by_loops(student, teacher, temperature):
    total = 0.0
    for image in range(len(student)):
        image_sum = weights = 0.0
        for ours, theirs in zip(student[image].tolist(), teacher[image].tolist(), strict=True):
            weight = 1 - softmax(theirs)[-1]
            p, q = softmax(ours, temperature), softmax(theirs, temperature)
            image_sum += weight * sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
            weights += weight
        total += temperature**2 * image_sum / max(weights, 1.0)
    return total / len(student)


@pytest.mark.parametrize('temperature', [1.0, 2.0, 0.5])
@pytest.mark.parametrize('priors', [1, 9])
def test_against_loops(priors, temperature):
    student, teacher = logits(priors=priors), logits(priors=priors, seed=1)
    loss = LogitDistillationLoss(loss_weight=0.7, temperature=temperature)
    expected = 0.7 * by_loops(student, teacher, temperature)
    assert loss(student, teacher).item() == pytest.approx(expected, rel=1e-10)


def test_nothing_where_both_agree():
    """Logits that differ by a constant say the same."""
    student = logits()
    offset = torch.randn(3, 7, 1, dtype=torch.float64)
    assert LogitDistillationLoss()(student, student + offset).item() == pytest.approx(0, abs=1e-12)


def test_what_the_teacher_takes_for_background_does_not_count():
    student, teacher = logits(), logits(seed=1)
    teacher[..., -1] = 60
    assert LogitDistillationLoss()(student, teacher).item() == pytest.approx(0, abs=1e-12)
    # one prior in a thousand is a cell to the teacher: the loss is that prior's
    many = torch.zeros(1, 1000, 2, dtype=torch.float64)
    sure = many.clone()
    sure[..., 1] = 60
    sure[0, 17] = torch.tensor([60.0, 0.0])
    loss = LogitDistillationLoss(temperature=1.0)
    assert loss(many, sure).item() == pytest.approx(math.log(2))


def test_a_batch_is_the_mean_of_its_images():
    student, teacher = logits(), logits(seed=1)
    loss = LogitDistillationLoss()
    singles = [loss(student[i : i + 1], teacher[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(loss(student, teacher), torch.stack(singles).mean())


def test_gradient_goes_to_the_student_alone():
    student, teacher = logits().requires_grad_(), logits(seed=1).requires_grad_()
    loss = LogitDistillationLoss()
    loss(student, teacher).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(lambda x: loss(x, fixed), student)


def test_float32_under_autocast():
    student, teacher = logits(dtype=torch.float32) * 20, logits(seed=1, dtype=torch.float32) * 20
    loss = LogitDistillationLoss()
    expected = loss(student, teacher)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        found = loss(student, teacher)
        half = loss(student.bfloat16(), teacher.bfloat16())
    assert torch.equal(found, expected) and found.dtype == half.dtype == torch.float32
    assert half.isfinite()


@pytest.mark.parametrize('kwargs', [dict(loss_weight=-1), dict(temperature=0)])
def test_refuses(kwargs):
    (name,) = kwargs
    with pytest.raises(ConfigError, match=f'logit_distillation.{name}: expected'):
        LogitDistillationLoss(**kwargs)
