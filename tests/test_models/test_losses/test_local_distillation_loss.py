import math

import pytest
import torch

from ldwsccd_mmdet.models.losses import (
    LocalDistillationLoss,
    channel_attention,
    foreground_mask,
    spatial_attention,
)

INPUT_SIZE = (64, 64)
BOXES = [
    torch.tensor([[4.0, 4.0, 30.0, 40.0], [20.0, 20.0, 60.0, 50.0], [1.0, 1.0, 2.0, 2.0]]),
    torch.zeros(0, 4),
]


def feats(channels=(3, 4), sizes=(8, 4), n=2, dtype=torch.float64, scale=1.0):
    return [
        torch.randn(n, c, s, s, dtype=dtype) * scale for c, s in zip(channels, sizes, strict=True)
    ]


def brute_force_level(student, teacher, boxes, mode, temperature):
    """Eq. 9-13 for one image and one level, cell by cell and channel by channel."""
    channels, height, width = teacher.shape
    mask = foreground_mask([boxes], (height, width), INPUT_SIZE)[0]
    spatial_t = spatial_attention(teacher[None], temperature)[0]
    channel_t = channel_attention(teacher[None], temperature)[0]
    spatial_s = spatial_attention(student[None], temperature)[0]
    channel_s = channel_attention(student[None], temperature)[0]
    weight = [[[0.0, 0.0] for _ in range(width)] for _ in range(height)]
    if mode == 'fgd':
        for i in range(height):
            for j in range(width):
                for x1, y1, x2, y2 in boxes.tolist():
                    x1, x2 = x1 / INPUT_SIZE[1] * width, x2 / INPUT_SIZE[1] * width
                    y1, y2 = y1 / INPUT_SIZE[0] * height, y2 / INPUT_SIZE[0] * height
                    top, bottom = math.floor(y1), math.ceil(y2)
                    left, right = math.floor(x1), math.ceil(x2)
                    if top <= i <= bottom and left <= j <= right:
                        area = (bottom + 1 - top) * (right + 1 - left)
                        weight[i][j][0] = max(weight[i][j][0], 1 / area)
        num_bg = sum(cell[0] == 0 for row in weight for cell in row)
        for row in weight:
            for cell in row:
                cell[1] = 1 / num_bg if cell[0] == 0 else 0.0
    else:
        num_fg = mask.sum().item()
        for i in range(height):
            for j in range(width):
                inside = mask[i, j].item()
                norm_fg = channels * max(num_fg, 1) if mode == 'region' else 1
                norm_bg = channels * max(height * width - num_fg, 1) if mode == 'region' else 1
                weight[i][j] = [inside / norm_fg, (1 - inside) / norm_bg]
    loss_fg = loss_bg = 0.0
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                d2 = (teacher[c, i, j] - student[c, i, j]).item() ** 2
                value = d2 * spatial_t[i, j].item() * channel_t[c].item()
                loss_fg += weight[i][j][0] * value
                loss_bg += weight[i][j][1] * value
    difference_s, difference_c = (spatial_t - spatial_s).abs(), (channel_t - channel_s).abs()
    if mode == 'fgd':
        loss_attention = difference_s.sum() + difference_c.sum()
    else:
        loss_attention = difference_s.mean() + difference_c.mean()
    return loss_fg, loss_bg, loss_attention.item()


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('temperature', [0.5, 2.0])
def test_equals_brute_force(mode, temperature):
    loss = LocalDistillationLoss(
        (3, 4), (3, 4), alpha=2, beta=3, gamma=5, temperature=temperature, normalize=mode
    )
    student, teacher = feats(), feats()
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    expected = [0.0, 0.0, 0.0]
    for level in range(2):
        for n in range(2):
            terms = brute_force_level(
                student[level][n], teacher[level][n], BOXES[n], mode, temperature
            )
            expected = [a + b / 2 for a, b in zip(expected, terms, strict=True)]
    assert out['loss_distill_fg'].item() == pytest.approx(2 * expected[0])
    assert out['loss_distill_bg'].item() == pytest.approx(3 * expected[1])
    assert out['loss_distill_attention'].item() == pytest.approx(5 * expected[2])


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
def test_student_equal_to_teacher_gives_zero(mode, feature_norm):
    loss = LocalDistillationLoss((3, 4), (3, 4), normalize=mode, feature_norm=feature_norm)
    maps = feats()
    for value in loss(maps, maps, BOXES, INPUT_SIZE).values():
        assert value.item() == 0


def test_foreground_and_background_share_the_whole_map():
    """With 'sum', the mask only divides what a loss without mask would give."""
    loss = LocalDistillationLoss((3, 4), (3, 4), alpha=1, beta=1, normalize='sum')
    student, teacher = feats(), feats()
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        weight = spatial_attention(t, 0.5)[:, None] * channel_attention(t, 0.5)[..., None, None]
        total += ((t - s) ** 2 * weight).sum().item() / 2
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    assert (out['loss_distill_fg'] + out['loss_distill_bg']).item() == pytest.approx(total)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
def test_mask_all_zero_and_all_one(mode):
    loss = LocalDistillationLoss((3,), (3,), normalize=mode)
    student, teacher = feats((3,), (4,), 1), feats((3,), (4,), 1)
    nothing = loss(student, teacher, [torch.zeros(0, 4)], INPUT_SIZE)
    assert nothing['loss_distill_fg'].item() == 0
    assert nothing['loss_distill_bg'].item() > 0
    everything = loss(student, teacher, [torch.tensor([[0.0, 0.0, 64.0, 64.0]])], INPUT_SIZE)
    assert everything['loss_distill_fg'].item() > 0
    assert everything['loss_distill_bg'].item() == 0


def test_constant_features_have_plain_squares():
    """Attention is 1 everywhere: eq. 12 is a mean square, eq. 13 is 0."""
    loss = LocalDistillationLoss((3,), (3,), alpha=1, beta=1, gamma=1)
    student, teacher = [torch.full((2, 3, 4, 4), 1.0)], [torch.full((2, 3, 4, 4), 3.0)]
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    assert out['loss_distill_fg'].item() == pytest.approx(4 / 2)  # of two images one has boxes
    assert out['loss_distill_bg'].item() == pytest.approx(4)
    assert out['loss_distill_attention'].item() == pytest.approx(0, abs=1e-6)


def test_one_cell_map():
    loss = LocalDistillationLoss((3,), (3,))
    out = loss(feats((3,), (1,)), feats((3,), (1,)), BOXES, INPUT_SIZE)
    assert all(torch.isfinite(value) for value in out.values())


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
def test_batch_is_the_mean_of_its_singles(mode, feature_norm):
    loss = LocalDistillationLoss((3, 4), (3, 4), normalize=mode, feature_norm=feature_norm)
    student, teacher = feats(), feats()
    batch = loss(student, teacher, BOXES, INPUT_SIZE)
    singles = [
        loss([s[n : n + 1] for s in student], [t[n : n + 1] for t in teacher], BOXES[n : n + 1],
             INPUT_SIZE)
        for n in range(2)
    ]  # fmt: skip
    for key, value in batch.items():
        torch.testing.assert_close(value, (singles[0][key] + singles[1][key]) / 2)


def test_align_is_a_convolution_only_where_channels_differ():
    loss = LocalDistillationLoss((3, 4), (3, 6))
    assert isinstance(loss.align[0], torch.nn.Identity)
    assert loss.align[1].weight.shape == (6, 4, 1, 1)
    other = LocalDistillationLoss((3, 4), (3, 6))
    other.load_state_dict(loss.state_dict())
    student = feats(dtype=torch.float32)
    teacher = feats((3, 6), dtype=torch.float32)
    first, second = (x(student, teacher, BOXES, INPUT_SIZE) for x in (loss, other))
    assert first == second


def test_standardize_ignores_scale_and_shift():
    loss = LocalDistillationLoss((3, 4), (3, 4), feature_norm='standardize')
    student, teacher = feats(), feats()
    scaled = [7 * s - 3 for s in student]
    first, second = (loss(x, teacher, BOXES, INPUT_SIZE) for x in (student, scaled))
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
def test_gradcheck(mode):
    loss = LocalDistillationLoss((2,), (2,), normalize=mode).double()
    teacher = feats((2,), (3,))
    student = feats((2,), (3,))[0].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: sum(loss([s], teacher, BOXES, INPUT_SIZE).values()), student
    )


def test_no_gradient_into_the_teacher():
    loss = LocalDistillationLoss((3, 4), (3, 4))
    student = [f.requires_grad_() for f in feats()]
    teacher = [f.requires_grad_() for f in feats()]
    sum(loss(student, teacher, BOXES, INPUT_SIZE).values()).backward()
    assert all(f.grad is None for f in teacher)
    assert all(f.grad.abs().sum() > 0 for f in student)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_gives_the_float32_loss(dtype):
    """Features up to 1e3, as raw ReLU maps have, saturate the softmax but give no NaN."""
    loss = LocalDistillationLoss((3, 4), (3, 4), feature_norm=None)
    student = [f.to(dtype) for f in feats(dtype=torch.float32, scale=300)]
    teacher = [f.to(dtype) for f in feats(dtype=torch.float32, scale=300)]
    exact = loss([f.float() for f in student], [f.float() for f in teacher], BOXES, INPUT_SIZE)
    with torch.autocast('cpu', torch.bfloat16):
        out = loss(student, teacher, BOXES, INPUT_SIZE)
    for key, value in out.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[key], rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(temperature=0), 'temperature must be > 0, got 0'),
        (dict(alpha=-1), 'alpha must be >= 0, got -1'),
        (dict(normalize='mean'), "'region', 'sum' or 'fgd', got 'mean'"),
        (dict(feature_norm='batch'), "got 'batch'"),
        (dict(teacher_channels=(3,)), 'same levels'),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LocalDistillationLoss(
            **{**dict(student_channels=(3, 4), teacher_channels=(3, 4)), **kwargs}
        )


@pytest.mark.parametrize(
    ('student', 'teacher', 'message'),
    [
        (feats((3,), (8,)), feats(), '1 maps of the student and 2 of the teacher'),
        (feats((5, 4)), feats(), r'student_channels\[0\] is 3.* 5 channels'),
        (feats(), feats((3, 7)), r'teacher_channels\[1\] is 4.* 7 channels'),
        (feats(), feats(sizes=(8, 5)), r'level 1 the student has \(4, 4\).*teacher \(5, 5\)'),
        (feats(n=2), feats(n=1), '2 images of the student, 1 of the teacher'),
    ],
)
def test_maps_that_do_not_fit(student, teacher, message):
    loss = LocalDistillationLoss((3, 4), (3, 4))
    with pytest.raises(ValueError, match=message):
        loss(student, teacher, BOXES, INPUT_SIZE)
