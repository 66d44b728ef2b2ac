import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import LocalDistillationLoss, channel_attention, spatial_attention

ROOT = Path(__file__).resolve().parents[3]
INPUT_SIZE = (64, 64)
BOXES = [
    torch.tensor([[4.0, 4.0, 30.0, 40.0], [20.0, 20.0, 60.0, 50.0], [1.0, 1.0, 2.0, 2.0]]),
    torch.zeros(0, 4),
]


def feats(channels=(3, 4), sizes=(8, 4), n=2, dtype=torch.float64, scale=1.0):
    return [
        torch.randn(n, c, s, s, dtype=dtype) * scale for c, s in zip(channels, sizes, strict=True)
    ]


def raw_loss(*args: Any, feature_norm: str | None = None, **kwargs: Any) -> LocalDistillationLoss:
    """The loss on the maps as they are, unless a test says otherwise."""
    return LocalDistillationLoss(*args, feature_norm=feature_norm, **kwargs)


def softmax_attention(energy, temperature):
    """Eq. 10 and 11 after the means."""
    exps = [math.exp(value / temperature) for value in energy]
    return [len(energy) * value / sum(exps) for value in exps]


def attentions(feat, temperature):
    """A^S as {(i, j): value} and A^C as a list, by loops."""
    channels, height, width = feat.shape
    cells = [(i, j) for i in range(height) for j in range(width)]
    spatial = [sum(abs(feat[c, i, j].item()) for c in range(channels)) / channels for i, j in cells]
    channel = [sum(abs(x[cell].item()) for cell in cells) / len(cells) for x in feat]
    spatial = softmax_attention(spatial, temperature)
    return dict(zip(cells, spatial, strict=True)), softmax_attention(channel, temperature)


def centre_mask(boxes, height, width):
    """Eq. 9 by loops."""
    mask = {(i, j): 0 for i in range(height) for j in range(width)}
    for x1, y1, x2, y2 in boxes.tolist():
        inside = [
            (i, j)
            for i, j in mask
            if x1 <= (j + 0.5) * INPUT_SIZE[1] / width <= x2
            and y1 <= (i + 0.5) * INPUT_SIZE[0] / height <= y2
        ]
        if not inside:
            i = math.floor((y1 + y2) / 2 * height / INPUT_SIZE[0])
            j = math.floor((x1 + x2) / 2 * width / INPUT_SIZE[1])
            inside = [(min(max(i, 0), height - 1), min(max(j, 0), width - 1))]
        for cell in inside:
            mask[cell] = 1
    return mask


def fgd_masks(boxes, height, width):
    """Scale masks of FGD's paper, eq. 4 and 5, by loops."""
    foreground = {(i, j): 0.0 for i in range(height) for j in range(width)}
    for x1, y1, x2, y2 in boxes.tolist():
        scale_x, scale_y = width / INPUT_SIZE[1], height / INPUT_SIZE[0]
        left, right = math.floor(x1 * scale_x), math.ceil(x2 * scale_x)
        top, bottom = math.floor(y1 * scale_y), math.ceil(y2 * scale_y)
        area = (right + 1 - left) * (bottom + 1 - top)
        for i, j in foreground:
            if top <= i <= bottom and left <= j <= right:
                foreground[i, j] = max(foreground[i, j], 1 / area)
    background = {cell: float(weight == 0) for cell, weight in foreground.items()}
    total = sum(background.values())
    return foreground, {cell: value / max(total, 1) for cell, value in background.items()}


def brute_force_level(student, teacher, boxes, mode, temperature):
    """Eq. 9-13 for one image and one level, cell by cell and channel by channel."""
    channels, height, width = teacher.shape
    spatial_t, channel_t = attentions(teacher, temperature)
    spatial_s, channel_s = attentions(student, temperature)
    if mode == 'fgd':
        foreground, background = fgd_masks(boxes, height, width)
    else:
        foreground = centre_mask(boxes, height, width)
        background = {cell: 1 - value for cell, value in foreground.items()}
    loss = []
    for weights in (foreground, background):
        total = 0.0
        for c in range(channels):
            for (i, j), weight in weights.items():
                squared = (teacher[c, i, j].item() - student[c, i, j].item()) ** 2
                total += weight * spatial_t[i, j] * channel_t[c] * squared
        loss.append(total / (channels * max(sum(weights.values()), 1) if mode == 'region' else 1))
    over_cells = sum(abs(spatial_t[cell] - spatial_s[cell]) for cell in spatial_t)
    over_channels = sum(abs(t - s) for t, s in zip(channel_t, channel_s, strict=True))
    if mode != 'fgd':
        over_cells, over_channels = over_cells / (height * width), over_channels / channels
    return [*loss, over_cells + over_channels]


def brute_force(student, teacher, bboxes, *args):
    """Mean over the images of one level."""
    images = [
        brute_force_level(s, t, boxes, *args)
        for s, t, boxes in zip(student, teacher, bboxes, strict=True)
    ]
    return [sum(terms) / len(images) for terms in zip(*images, strict=True)]


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('temperature', [0.5, (2.0, 0.3)])
def test_equals_brute_force(mode, temperature):
    loss = raw_loss(
        (3, 4),
        (3, 4),
        alpha=2,
        beta=3,
        gamma=5,
        temperature=temperature,
        normalize=mode,
        level_weights=(1.0, 0.25),
    )
    student, teacher = feats(), feats()
    temperatures = temperature if isinstance(temperature, tuple) else (temperature,) * 2
    expected = [
        brute_force(student[level], teacher[level], BOXES, mode, temperatures[level])
        for level in range(2)
    ]
    levels = loss.level_losses(student, teacher, BOXES, INPUT_SIZE)
    torch.testing.assert_close(levels, torch.tensor(expected, dtype=torch.float64))
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    weighted = [first + 0.25 * second for first, second in zip(*expected, strict=True)]
    assert out['loss_distill_fg'].item() == pytest.approx(2 * weighted[0])
    assert out['loss_distill_bg'].item() == pytest.approx(3 * weighted[1])
    assert out['loss_distill_attention'].item() == pytest.approx(5 * weighted[2])


def test_fgd_is_the_sum_of_fgd():
    """Focal and attention loss of FGD for a batch, with its published weights for RetinaNet."""
    loss = raw_loss((3, 4), (3, 4), normalize='fgd', alpha=0.001, beta=0.0005, gamma=0.001)
    student, teacher = feats(scale=2), feats(scale=2)
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    expected = 0.0
    for s, t in zip(student, teacher, strict=True):
        foreground, background, attention = brute_force(s, t, BOXES, 'fgd', 0.5)
        expected += 0.001 * foreground + 0.0005 * background + 0.001 * attention
    assert sum(out.values()).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ('part', 'expected'),
    [
        ('distillation', (0.2, 0.1, 0.1, (0.5,), 'region', 'standardize')),
        ('distillation_paper', (0.2, 0.1, 0.1, (0.5,), 'sum', None)),
        ('distillation_fgd', (0.001, 0.0005, 0.001, (0.5,), 'fgd', None)),
    ],
)
def test_parts_of_the_configs(part, expected):
    parts = Config.fromfile(ROOT / 'configs/_base_/parts/distillation.py')
    loss = MODELS.build(dict(parts[part], student_channels=(3,), teacher_channels=(3,)))
    names = ('alpha', 'beta', 'gamma', 'temperature', 'normalize', 'feature_norm')
    assert tuple(getattr(loss, name) for name in names) == expected


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize(
    'boxes',
    [
        [[0.0, 0.0, 16.0, 64.0]],  # along the border
        [[48.0, 48.0, 64.0, 64.0]],  # in the far corner
        [[-30.0, 10.0, 20.0, 90.0]],  # half outside
        [[17.0, 33.0, 18.0, 34.0]],  # smaller than a cell of either level
        [[0.0, 0.0, 64.0, 64.0], [16.0, 16.0, 32.0, 32.0]],  # one in the other
    ],
)
def test_boxes_at_the_limits(mode, boxes):
    loss = raw_loss((3,), (3,), normalize=mode)
    student, teacher = feats((3,), (4,), 1), feats((3,), (4,), 1)
    boxes = [torch.tensor(boxes)]
    out = loss.level_losses(student, teacher, boxes, INPUT_SIZE)
    expected = brute_force(student[0], teacher[0], boxes, mode, 0.5)
    torch.testing.assert_close(out[0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('mode', ['region', 'sum'])
@pytest.mark.parametrize(('box', 'cell'), [([90, 90, 99, 99], (3, 3)), ([-9, 5, -5, 9], (0, 0))])
def test_box_outside_takes_the_nearest_cell(mode, box, cell):
    loss = raw_loss((3,), (3,), normalize=mode)
    student, teacher = feats((3,), (4,), 1), feats((3,), (4,), 1)
    boxes = [torch.tensor([box], dtype=torch.float32)]
    out = loss.level_losses(student, teacher, boxes, INPUT_SIZE)
    error = loss.maps(student, teacher, boxes, INPUT_SIZE)[0].error[0]
    assert out[0, 0].item() == pytest.approx(error[cell].item() * (3 if mode == 'sum' else 1))


def test_box_outside_is_nothing_to_fgd():
    loss = raw_loss((3,), (3,), normalize='fgd')
    student, teacher = feats((3,), (4,), 1), feats((3,), (4,), 1)
    outside = [torch.tensor([[90.0, 90.0, 99.0, 99.0]])]
    torch.testing.assert_close(
        loss.level_losses(student, teacher, outside, INPUT_SIZE),
        loss.level_losses(student, teacher, [torch.zeros(0, 4)], INPUT_SIZE),
    )


def test_a_teacher_rounded_otherwise_is_brought_to_the_students_size():
    loss = raw_loss((3, 4), (5, 4)).double()
    student = [f.requires_grad_() for f in feats(sizes=(9, 5))]
    teacher = feats((5, 4), (8, 6))
    out = loss.level_losses(student, teacher, BOXES, INPUT_SIZE)
    aligned = [align(f) for align, f in zip(loss.align, student, strict=True)]
    resized = [
        torch.nn.functional.interpolate(t, s.shape[2:], mode='bilinear', align_corners=False)
        for s, t in zip(student, teacher, strict=True)
    ]
    expected = raw_loss((5, 4), (5, 4)).level_losses(aligned, resized, BOXES, INPUT_SIZE)
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert all(f.grad.abs().sum() > 0 for f in student)
    sizes = [m.error.shape for m in loss.maps(student, teacher, BOXES, INPUT_SIZE)]
    assert sizes == [s.shape[:1] + s.shape[2:] for s in student]


@pytest.mark.parametrize('mode', ['region', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
def test_maps_are_what_the_loss_sums(mode, feature_norm):
    loss = raw_loss((3, 4), (3, 4), normalize=mode, feature_norm=feature_norm)
    student, teacher = feats(), feats()
    levels = loss.level_losses(student, teacher, BOXES, INPUT_SIZE)
    for level, maps in enumerate(loss.maps(student, teacher, BOXES, INPUT_SIZE)):
        size = teacher[level].shape[-1]
        channels = teacher[level].shape[1]
        assert all(m.shape == (2, size, size) and not m.requires_grad for m in maps)
        weights = [centre_mask, lambda *args: fgd_masks(*args)[0]][mode == 'fgd']
        for n in range(2):
            mask = [w > 0 for w in weights(BOXES[n], size, size).values()]
            assert maps.mask[n].flatten().tolist() == mask
        if mode == 'region':
            foreground = (maps.error * maps.mask).sum((1, 2)) / maps.mask.sum((1, 2)).clamp(min=1)
        else:
            weight = torch.stack(
                [torch.tensor(list(weights(b, size, size).values())) for b in BOXES]
            )
            foreground = (channels * maps.error.flatten(1) * weight).sum(1)
        torch.testing.assert_close(levels[level, 0], foreground.mean())
        if feature_norm is None:
            of_teacher, of_student = (spatial_attention(f[level], 0.5) for f in (teacher, student))
            torch.testing.assert_close(maps.teacher_attention, of_teacher)
            torch.testing.assert_close(maps.student_attention, of_student)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
def test_student_equal_to_teacher_gives_zero(mode, feature_norm):
    loss = raw_loss((3, 4), (3, 4), normalize=mode, feature_norm=feature_norm)
    maps = feats()
    for value in loss(maps, maps, BOXES, INPUT_SIZE).values():
        assert value.item() == 0


def test_foreground_and_background_share_the_whole_map():
    """With 'sum', the mask only divides what a loss without mask would give."""
    loss = raw_loss((3, 4), (3, 4), alpha=1, beta=1, normalize='sum')
    student, teacher = feats(), feats()
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        weight = spatial_attention(t, 0.5)[:, None] * channel_attention(t, 0.5)[..., None, None]
        total += ((t - s) ** 2 * weight).sum().item() / 2
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    assert (out['loss_distill_fg'] + out['loss_distill_bg']).item() == pytest.approx(total)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
def test_mask_all_zero_and_all_one(mode):
    loss = raw_loss((3,), (3,), normalize=mode)
    student, teacher = feats((3,), (4,), 1), feats((3,), (4,), 1)
    nothing = loss(student, teacher, [torch.zeros(0, 4)], INPUT_SIZE)
    assert nothing['loss_distill_fg'].item() == 0
    assert nothing['loss_distill_bg'].item() > 0
    everything = loss(student, teacher, [torch.tensor([[0.0, 0.0, 64.0, 64.0]])], INPUT_SIZE)
    assert everything['loss_distill_fg'].item() > 0
    assert everything['loss_distill_bg'].item() == 0


def test_constant_features_have_plain_squares():
    """Attention is 1 everywhere: eq. 12 is a mean square, eq. 13 is 0."""
    loss = raw_loss((3,), (3,), alpha=1, beta=1, gamma=1)
    student, teacher = [torch.full((2, 3, 4, 4), 1.0)], [torch.full((2, 3, 4, 4), 3.0)]
    out = loss(student, teacher, BOXES, INPUT_SIZE)
    assert out['loss_distill_fg'].item() == pytest.approx(4 / 2)  # of two images one has boxes
    assert out['loss_distill_bg'].item() == pytest.approx(4)
    assert out['loss_distill_attention'].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
def test_one_cell_map(mode):
    """A^S is 1: image 1 is all foreground, image 2 all background."""
    loss = raw_loss((3,), (3,), normalize=mode)
    student, teacher = feats((3,), (1,)), feats((3,), (1,))
    out = loss.level_losses(student, teacher, BOXES, INPUT_SIZE)
    expected = brute_force(student[0], teacher[0], BOXES, mode, 0.5)
    torch.testing.assert_close(out[0], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
def test_batch_is_the_mean_of_its_singles(mode, feature_norm):
    loss = raw_loss((3, 4), (3, 4), normalize=mode, feature_norm=feature_norm)
    student, teacher = feats(), feats()
    batch = loss(student, teacher, BOXES, INPUT_SIZE)
    singles = [
        loss(
            [s[n : n + 1] for s in student],
            [t[n : n + 1] for t in teacher],
            BOXES[n : n + 1],
            INPUT_SIZE,
        )
        for n in range(2)
    ]
    for key, value in batch.items():
        torch.testing.assert_close(value, (singles[0][key] + singles[1][key]) / 2)


def test_align_is_a_convolution_only_where_channels_differ():
    loss = raw_loss((3, 4), (3, 6))
    assert isinstance(loss.align[0], torch.nn.Identity)
    assert loss.align[1].weight.shape == (6, 4, 1, 1)
    other = raw_loss((3, 4), (3, 6))
    other.load_state_dict(loss.state_dict())
    student = feats(dtype=torch.float32)
    teacher = feats((3, 6), dtype=torch.float32)
    first, second = (x(student, teacher, BOXES, INPUT_SIZE) for x in (loss, other))
    assert first == second


def test_standardize_ignores_scale_and_shift():
    loss = raw_loss((3, 4), (3, 4), feature_norm='standardize')
    student, teacher = feats(), feats()
    scaled = [7 * s - 3 for s in student]
    first, second = (loss(x, teacher, BOXES, INPUT_SIZE) for x in (student, scaled))
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize(('feature_norm', 'size'), [(None, 3), ('standardize', 4)])
def test_gradcheck(mode, feature_norm, size):
    """Through the alignment, towards a teacher of another size too."""
    loss = raw_loss((3,), (2,), normalize=mode, feature_norm=feature_norm).double()
    teacher = feats((2,), (size,))
    student = feats((3,), (3,))[0].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: sum(loss([s], teacher, BOXES, INPUT_SIZE).values()), student
    )


def test_no_gradient_into_the_teacher():
    loss = raw_loss((3, 4), (3, 4))
    student = [f.requires_grad_() for f in feats()]
    teacher = [f.requires_grad_() for f in feats()]
    sum(loss(student, teacher, BOXES, INPUT_SIZE).values()).backward()
    assert all(f.grad is None for f in teacher)
    assert all(f.grad.abs().sum() > 0 for f in student)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('mode', ['region', 'sum', 'fgd'])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
@pytest.mark.parametrize('scale', [1, 1e3])
def test_autocast_gives_the_float32_loss(dtype, mode, feature_norm, scale):
    """Features up to 1e3, as raw ReLU maps have, saturate the softmax but give no NaN."""
    loss = raw_loss((8, 16), (8, 16), normalize=mode, feature_norm=feature_norm)
    student, teacher = (
        [(f.clamp(-4, 4) / 4 * scale).to(dtype) for f in feats((8, 16), dtype=torch.float32)]
        for _ in range(2)
    )
    exact = loss([f.float() for f in student], [f.float() for f in teacher], BOXES, INPUT_SIZE)
    student = [f.requires_grad_() for f in student]
    with torch.autocast('cpu', dtype):
        out = loss(student, teacher, BOXES, INPUT_SIZE)
    for key, value in out.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact[key], rtol=1e-5, atol=1e-6)
    sum(out.values()).backward()
    assert not any(f.grad.isnan().any() for f in student)


def raw_maps(scale, channels=64, size=32):
    """A student's and a teacher's ReLU map in float32, whose largest values are about ``scale``."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, channels, size, size)
    return [scale / 4 * torch.randn(shape, generator=generator).relu() for _ in range(2)]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('scale', [1, 1e3])
def test_half_precision_maps_give_the_loss_of_unrounded_maps(dtype, scale):
    """As shipped, rounding a network's raw maps changes each term by below 1 %.

    The gradient changes more where it hangs on the sign of eq. 13's differences.
    """
    loss = LocalDistillationLoss((64,), (64,))

    def terms(precision):
        student, teacher = (feat.to(precision) for feat in raw_maps(scale))
        out = loss([student.requires_grad_()], [teacher], BOXES, INPUT_SIZE)
        sum(out.values()).backward()
        return out, student.grad.float()

    (rounded, gradient), (exact, exact_gradient) = terms(dtype), terms(torch.float32)
    for key, value in exact.items():
        torch.testing.assert_close(rounded[key], value, rtol=1e-2, atol=0)
    if dtype == torch.bfloat16:  # float16 needs the scaled loss that training gives it
        error = (gradient - exact_gradient).norm() / exact_gradient.norm()
        assert error < 0.1


@pytest.mark.parametrize(
    ('dtype', 'scale', 'warned'),
    [(torch.bfloat16, 1e3, True), (torch.bfloat16, 1, False), (torch.float32, 1e3, False)],
)
def test_raw_maps_that_rounding_spoils_are_said_once(dtype, scale, warned, monkeypatch):
    """Without feature_norm the rounding of large values is lost before the loss sees them."""
    said = []
    monkeypatch.setattr(
        sys.modules[LocalDistillationLoss.__module__],
        'print_log',
        lambda text, **_: said.append(text),
    )
    loss = raw_loss((64,), (64,), feature_norm=None)
    student, teacher = ([feat.to(dtype)] for feat in raw_maps(scale))
    for _ in range(2):
        loss(student, teacher, BOXES, INPUT_SIZE)
    assert [text.partition(':')[0] for text in said] == ['distillation.feature_norm'] * warned


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('feature_norm', [None, 'standardize'])
@pytest.mark.parametrize('scale', [1, 1e3])
def test_autocast_of_the_alignment(dtype, feature_norm, scale):
    """The 1 x 1 convolution stays in float32: from a map in half precision the loss is the same."""
    loss = raw_loss((64, 32), (32, 48), feature_norm=feature_norm)
    student, teacher = (
        [(f.clamp(0, 4) / 4 * scale).to(dtype) for f in feats(channels, dtype=torch.float32)]
        for channels in ((64, 32), (32, 48))
    )
    exact = loss([f.float() for f in student], [f.float() for f in teacher], BOXES, INPUT_SIZE)
    with torch.autocast('cpu', dtype):
        out = loss(student, teacher, BOXES, INPUT_SIZE)
    for key, value in out.items():
        torch.testing.assert_close(value, exact[key], rtol=1e-5, atol=1e-6)
    sum(out.values()).backward()
    assert not any(p.grad.isnan().any() for p in loss.parameters())


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(temperature=0), r'temperature: expected > 0, found \(0.0, 0.0\)'),
        (dict(alpha=-1), 'alpha: expected >= 0, found -1'),
        (dict(temperature=(0.5, -1)), r'temperature: expected > 0, found \(0.5, -1.0\)'),
        (dict(temperature=(0.5,)), r'temperature: expected one number, .* 2 levels.* found \[0'),
        (dict(level_weights=(1, 2, 3)), r'level_weights: .* 2 levels .* found \[1, 2, 3\]'),
        (dict(level_weights=(1, -2)), r'level_weights: expected >= 0, found \(1.0, -2.0\)'),
        (dict(normalize='mean'), "'region', 'sum' or 'fgd', found 'mean'"),
        (dict(feature_norm='batch'), "None or 'standardize', found 'batch'"),
        (dict(resize='student'), 'resize .* leave it out, and pair'),
        # as earlier versions had it
        (
            dict(preset='fgd'),
            'distillation.preset is no argument any more: take distillation_paper',
        ),
        (dict(empty_image='skip'), 'distillation.empty_image is no argument any more'),
        (dict(attention_reduction='sum'), 'distillation.attention_reduction .* leave it out'),
        (dict(teacher_channels=(3,)), 'same levels'),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        raw_loss(**{**dict(student_channels=(3, 4), teacher_channels=(3, 4)), **kwargs})


@pytest.mark.parametrize(
    ('student', 'teacher', 'message'),
    [
        (feats((3,), (8,)), feats(), '1 maps of the student and 2 of the teacher'),
        (feats((5, 4)), feats(), r'student_channels\[0\] is 3.* 5 channels'),
        (feats(), feats((3, 7)), r'teacher_channels\[1\] is 4.* 7 channels'),
        (
            feats(),
            feats(sizes=(8, 6)),
            r'level 1 the student has \(4, 4\).*teacher \(6, 6\).*model.teacher.level_pairs',
        ),
        (feats(n=2), feats(n=1), '2 images of the student, 1 of the teacher'),
    ],
)
def test_maps_that_do_not_fit(student, teacher, message):
    loss = raw_loss((3, 4), (3, 4))
    with pytest.raises(ValueError, match=message):
        loss(student, teacher, BOXES, INPUT_SIZE)


def shared(**kwargs):
    return raw_loss((4,), (4,), **{'share': 0.3, **kwargs})


def inputs(scale=1.0):
    rng = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 4, 8, 8, generator=rng) * scale for _ in range(2))
    return [student.requires_grad_()], [teacher], [torch.tensor([[4.0, 4, 30, 30]])] * 2, (64, 64)


def test_share_of_the_detection_loss():
    loss = shared()
    for detection in (10.0, 10.0):
        terms = loss(*inputs(), detection_loss=torch.tensor(detection))
        assert [terms[n].item() / 10 for n in terms] == pytest.approx(
            [0.18, 0.105, 0.015], rel=1e-4
        )


def test_share_follows_running_means_by_hand():
    loss = shared()
    raw = raw_loss((4,), (4,), alpha=1, beta=1, gamma=1)
    means = None
    for step, detection in enumerate((10.0, 4.0, 7.0)):
        batch = inputs(1 + step)
        now = torch.stack([torch.tensor(detection), *raw(*batch).values()]).detach()
        means = now if means is None else 0.98 * means + 0.02 * now
        terms = torch.stack(list(loss(*batch, detection_loss=torch.tensor(detection)).values()))
        weights = 0.3 * torch.tensor([0.6, 0.35, 0.05]) * means[0] / means[1:]
        torch.testing.assert_close(terms.detach(), weights * now[1:], rtol=1e-4, atol=1e-6)


def test_share_is_resumed_and_has_no_gradient():
    loss, other = shared(), shared()
    detection = torch.tensor(5.0, requires_grad=True)
    sum(loss(*inputs(), detection_loss=detection).values()).backward()
    assert detection.grad is None
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other.term_weights(), loss.term_weights())
    assert not raw_loss((4,), (4,)).state_dict()


def test_share_does_not_learn_in_evaluation():
    loss = shared().eval()
    assert all(v.item() == 0 for v in loss(*inputs(), detection_loss=torch.tensor(1.0)).values())
    assert loss.running_means.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize('kwargs', [dict(share=0), dict(share=-1), dict(alpha=1.0)])
def test_share_refuses(kwargs):
    with pytest.raises(ConfigError, match='share'):
        shared(**kwargs)
