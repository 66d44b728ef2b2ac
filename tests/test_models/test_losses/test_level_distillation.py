"""The fast path against the plain formula: losses and gradients, in every layout and type."""

import pytest
import torch

from ldwsccd_mmdet.models.losses import (
    LevelDistillation,
    channel_attention,
    level_distillation,
    spatial_attention,
)

NUM_IMAGES, CHANNELS, HEIGHT, WIDTH = SHAPE = (3, 5, 4, 6)


def plain(student, teacher, cells, images, attention_weights, temperature, standardize):
    """Eq. 10-13 as they read, under autograd."""
    if standardize:
        student, teacher = (
            (f - f.mean((2, 3), keepdim=True))
            / (f.var((2, 3), correction=0, keepdim=True) + 1e-6).sqrt()
            for f in (student, teacher)
        )
    a_s, a_c = spatial_attention(teacher, temperature), channel_attention(teacher, temperature)
    b_s, b_c = spatial_attention(student, temperature), channel_attention(student, temperature)
    error = (a_s[:, None] * a_c[:, :, None, None] * (teacher - student) ** 2).sum(1)
    attention = attention_weights[0] * (a_s - b_s).abs().sum((1, 2)) + attention_weights[1] * (
        a_c - b_c
    ).abs().sum(1)
    return torch.stack(
        [(cells[0] * error).sum(), (cells[1] * error).sum(), (images * attention).sum()]
    )


@pytest.fixture(params=[1 << 21, 2 * 5 * 4 * 6, 1], ids=['batch', 'pairs', 'images'])
def chunk(request, monkeypatch):
    """Work on all images at once, on two of three, one by one."""
    monkeypatch.setattr(level_distillation, 'CHUNK', request.param)


def arguments(standardize=False, dtype=torch.float64, scale=1.0, shape=SHAPE):
    return (
        torch.randn(shape, dtype=dtype) * scale,
        torch.randn(shape, dtype=dtype) * scale,
        torch.rand(2, shape[0], *shape[2:], dtype=dtype),
        torch.rand(shape[0], dtype=dtype),
        (0.3, 0.7),
        0.5,
        standardize,
    )


def gradient(function, student, *rest):
    student = student.detach().requires_grad_()
    losses = function(student, *rest)
    (losses * torch.tensor([2.0, 3.0, 5.0]).to(losses)).sum().backward()
    return losses, student.grad


LAYOUTS = {
    'contiguous': torch.Tensor.contiguous,
    'channels_last': lambda x: x.contiguous(memory_format=torch.channels_last),
    'transposed': lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    'strided': lambda x: torch.stack([x, x], dim=-1).flatten(3)[..., ::2],
    'expanded': lambda x: x[:, :, :1, :1].expand(x.shape),
}


@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('layout_t', ['contiguous', 'channels_last'])
@pytest.mark.parametrize('layout_s', LAYOUTS)
@pytest.mark.usefixtures('chunk')
def test_equals_the_plain_formula(layout_s, layout_t, standardize):
    student, teacher, *rest = arguments(standardize)
    student, teacher = LAYOUTS[layout_s](student), LAYOUTS[layout_t](teacher)
    before = student.clone(), teacher.clone()
    losses, grad = gradient(LevelDistillation.apply, student, teacher, *rest)
    expected, expected_grad = gradient(plain, student, teacher, *rest)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(grad, expected_grad)
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('layout', ['contiguous', 'channels_last'])
@pytest.mark.usefixtures('chunk')
def test_gradcheck(layout, standardize):
    student, *rest = arguments(standardize, shape=(3, 2, 3, 3))
    student = LAYOUTS[layout](student).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: LevelDistillation.apply(s, *rest), student)


@pytest.mark.parametrize('standardize', [False, True])
def test_zeros_of_relu_get_the_gradient_of_autograd(standardize):
    """|x| has no slope at 0: most cells of a ReLU map are there."""
    student, teacher, *rest = arguments(standardize)
    grads = [
        gradient(function, student.relu(), teacher.relu(), *rest)[1]
        for function in (LevelDistillation.apply, plain)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('standardize', [False, True])
@pytest.mark.parametrize('layout', ['contiguous', 'channels_last'])
def test_half_is_computed_in_float32(dtype, standardize, layout):
    student, teacher, *rest = arguments(standardize, dtype=torch.float32)
    student, teacher = (LAYOUTS[layout](x).to(dtype) for x in (student, teacher))
    losses, grad = gradient(LevelDistillation.apply, student, teacher, *rest)
    expected, expected_grad = gradient(
        LevelDistillation.apply, student.float(), teacher.float(), *rest
    )
    assert losses.dtype == torch.float32
    assert torch.equal(losses, expected)
    assert torch.equal(grad, expected_grad.to(dtype))


@pytest.mark.parametrize('layout', ['contiguous', 'channels_last'])
def test_gradient_has_the_layout_of_the_map(layout):
    student, *rest = arguments()
    _, grad = gradient(LevelDistillation.apply, LAYOUTS[layout](student), *rest)
    assert grad.stride() == LAYOUTS[layout](student).stride()


@pytest.mark.parametrize('standardize', [False, True])
def test_keeps_no_map_but_the_two_it_was_given(standardize):
    student, teacher, *rest = arguments(standardize)
    student.requires_grad_()
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        LevelDistillation.apply(student, teacher, *rest)
    large = [x for x in saved if x.numel() >= student.numel()]
    assert {x.data_ptr() for x in large} == {student.data_ptr(), teacher.data_ptr()}


def test_no_gradient_into_the_teacher():
    student, teacher, *rest = arguments()
    teacher.requires_grad_()
    losses = LevelDistillation.apply(student.requires_grad_(), teacher, *rest)
    assert torch.autograd.grad(losses.sum(), (student, teacher), allow_unused=True)[1] is None


@pytest.mark.parametrize('shape', [(2, 3, 1, 1), (2, 1, 4, 4), (1, 1, 1, 1)])
@pytest.mark.parametrize('standardize', [False, True])
def test_one_cell_and_one_channel(shape, standardize):
    args = arguments(standardize, shape=shape)
    losses, grad = gradient(LevelDistillation.apply, *args)
    expected, expected_grad = gradient(plain, *args)
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(grad, expected_grad)


def test_there_is_no_second_derivative():
    student, *rest = arguments()
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    loss = (weight * LevelDistillation.apply(student.requires_grad_(), *rest)).sum()
    (grad,) = torch.autograd.grad(loss, student, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()
