"""Eq. 10-13 of one level as one autograd function, which keeps no product of the two maps."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..utils import float_dtype
from .attention import attention_of_energy

CHUNK = 1 << 21
"""Elements of a map worked on at a time: one image of 512 x 64 x 64, 8 MB, which a cache holds."""

EPS = 1e-6


class Comparison(NamedTuple):
    r"""Student and teacher at one level; P = H W cells in row-major order.

    Attributes:
        error: :math:`e = A^S_T \sum_c A^C_T d_c^2`, shape (N, P).
        spatial_t: :math:`A^S` of the teacher, eq. 10, (N, P).
        channel_t: :math:`A^C` of the teacher, eq. 11, (N, C).
        spatial_s: :math:`A^S` of the student, (N, P).
        channel_s: :math:`A^C` of the student, (N, C).
    """

    error: Tensor
    spatial_t: Tensor
    channel_t: Tensor
    spatial_s: Tensor
    channel_s: Tensor


class LevelDistillation(torch.autograd.Function):
    r"""Foreground, background and attention loss of one level, eq. 12 and 13.

    With student :math:`s`, teacher :math:`t`, weights :math:`w` of the cells, :math:`v` of the
    images, :math:`k` of the two attentions, and :math:`A` the teacher's attention, :math:`B` the
    student's:

    .. math::
        e_{i j} &= A^S_{i j} \sum_c A^C_c (t_{c i j} - s_{c i j})^2 \\
        L_{fg} &= \sum w^{fg}_{i j} e_{i j}, \qquad L_{bg} = \sum w^{bg}_{i j} e_{i j} \\
        L_{att} &= \sum v \big( k_S \sum_{i j} |A^S - B^S|_{i j} + k_C \sum_c |A^C - B^C|_c \big)

    Backward, with :math:`g` the gradients of the three losses and :math:`G` the energies:

    .. math::
        \frac{\partial L}{\partial s_{c i j}} &= 2 (g_{fg} w^{fg} + g_{bg} w^{bg})_{i j}
            A^S_{i j} A^C_c (s - t)_{c i j} + \mathrm{sign}(s_{c i j})
            \Big( \frac1C \frac{\partial L}{\partial G^S_{i j}}
            + \frac1{H W} \frac{\partial L}{\partial G^C_c} \Big) \\
        \frac{\partial L}{\partial G} &= \frac{B}{T} \big( u - \mathrm{mean}(u B) \big),
            \qquad u = g_{att} v k \, \mathrm{sign}(B - A)

    ``standardize`` first makes :math:`\hat s = (s - \mu) / \sigma` of each channel and image, of
    both maps; then :math:`\partial L / \partial s = (\hat g - \mathrm{mean}(\hat g) - \hat s \,
    \mathrm{mean}(\hat g \hat s)) / \sigma`, with :math:`\hat g = \partial L / \partial \hat s`.

    What reaches memory, in whole maps: forward reads student and teacher (2 passes), backward reads
    both and writes the gradient (3 passes). All else happens on the few megabytes of a chunk of
    images, which stay in the cache; the scratch space is at most four chunks. Six masked and
    weighted copies under autograd are more than 30 passes, and keep most copies until backward.
    Backward gets :math:`d` by computing it again, from the maps that the network keeps anyway.

    Maps may be contiguous, channels_last (the work is then done in that layout) or anything else
    (copied chunk by chunk), float64, float32 or half; half is computed in float32. The teacher gets
    no gradient; there is no second derivative.
    """

    @staticmethod
    def forward(
        ctx: Any,
        student: Tensor,
        teacher: Tensor,
        cell_weights: Tensor,
        image_weights: Tensor,
        attention_weights: tuple[float, float],
        temperature: float,
        standardize: bool,
    ) -> Tensor:
        """Compute the three losses.

        Args:
            ctx: Of autograd.
            student: (N, C, H, W).
            teacher: (N, C, H, W).
            cell_weights: Weight of each cell in the foreground and in the background loss,
                (2, N, H, W).
            image_weights: Weight of each image in the attention loss, (N,).
            attention_weights: Weights of the spatial and of the channel attention's difference.
            temperature: :math:`T` > 0.
            standardize: Whether to standardise every channel of both maps first.

        Returns:
            Foreground, background and attention loss, shape (3,), float32 (float64 stays float64).
        """
        maps = compare(student, teacher, temperature, standardize)
        cell_weights = cell_weights.flatten(2)
        losses = (cell_weights * maps.error).sum(dim=(1, 2))  # eq. 12
        spatial = (maps.spatial_t - maps.spatial_s).abs().sum(dim=1)
        channel = (maps.channel_t - maps.channel_s).abs().sum(dim=1)
        weight_s, weight_c = attention_weights
        attention = (image_weights * (weight_s * spatial + weight_c * channel)).sum()  # eq. 13
        ctx.save_for_backward(student, teacher, cell_weights, image_weights, *maps[1:])
        ctx.options = attention_weights, temperature, standardize
        return torch.cat([losses, attention[None]])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradient of the student's map."""
        student, teacher, cell_weights, image_weights, *saved = ctx.saved_tensors
        spatial_t, channel_t, spatial_s, channel_s = saved
        attention_weights, temperature, standardize = ctx.options

        def of_energy(mine: Tensor, other: Tensor, weight: float) -> Tensor:
            u = grad[2] * weight * image_weights[:, None] * (mine - other).sign()
            return mine / temperature * (u - (u * mine).mean(dim=1, keepdim=True))

        cell = 2 * (grad[0] * cell_weights[0] + grad[1] * cell_weights[1]) * spatial_t
        energy_s = of_energy(spatial_s, spatial_t, attention_weights[0]) / channel_s.shape[1]
        energy_c = of_energy(channel_s, channel_t, attention_weights[1]) / spatial_s.shape[1]

        out = torch.empty_like(student, memory_format=_layout(student))
        in_place = out.dtype == cell.dtype
        for images, s, t, work, scale in _chunks(student, teacher, cell.dtype, standardize):
            target = out[images].flatten(2)
            g = target if in_place else torch.empty_like(work)
            torch.sub(s, t, out=g)
            g.mul_(cell[images, None]).mul_(channel_t[images, :, None])
            torch.sign(s, out=work)
            g.addcmul_(work, energy_s[images, None]).addcmul_(work, energy_c[images, :, None])
            if scale is not None:
                mean = g.mean(dim=2, keepdim=True)
                slope = torch.mul(g, s, out=work).mean(dim=2, keepdim=True)
                g.sub_(mean).addcmul_(s, slope, value=-1).mul_(scale)
            if not in_place:
                target.copy_(g)
        return out, None, None, None, None, None, None


@torch.no_grad()
def compare(student: Tensor, teacher: Tensor, temperature: float, standardize: bool) -> Comparison:
    """Error and attentions of one level; arguments as :class:`LevelDistillation`."""
    dtype = float_dtype(student)
    parts = []
    for _, s, t, work, _ in _chunks(student, teacher, dtype, standardize):
        attentions = []
        for x in (t, s):
            torch.abs(x, out=work)
            # eq. 10 and 11
            attentions += [attention_of_energy(work.mean(dim=dim), temperature) for dim in (1, 2)]
        spatial_t, channel_t, spatial_s, channel_s = attentions
        torch.sub(t, s, out=work).square_()
        # what eq. 12 sums over a region; over C as one product, (1, C) x (C, P) an image
        error = (channel_t[:, None] @ work)[:, 0] * spatial_t
        parts.append((error, spatial_t, channel_t, spatial_s, channel_s))
    return Comparison(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _chunks(
    student: Tensor, teacher: Tensor, dtype: torch.dtype, standardize: bool
) -> Iterator[tuple[slice, Tensor, Tensor, Tensor, Tensor | None]]:
    """Some images of both maps after the other: (n, C, P) in one layout and ``dtype``.

    Yields:
        The images; student and teacher, views where nothing has to change; room for work of that
        shape; and with ``standardize`` the student's 1 / standard deviation (n, C, 1), else None.
    """
    step = min(max(CHUNK // max(student[0].numel(), 1), 1), len(student))
    shape = (step, *student.shape[1:])
    room = [
        torch.empty(shape, dtype=dtype, device=student.device, memory_format=_layout(student))
        for _ in range(3)
    ]
    for start in range(0, len(student), step):
        images = slice(start, min(start + step, len(student)))
        room_s, room_t, work = (space[: images.stop - start] for space in room)
        s = _plain(student[images], room_s, copy=standardize)
        t = _plain(teacher[images], room_t, copy=standardize)
        work = work.flatten(2)
        scale = None
        if standardize:
            _standardize_(t, work)
            scale = _standardize_(s, work)
        yield images, s, t, work, scale


def _plain(feat: Tensor, room: Tensor, copy: bool) -> Tensor:
    """``feat`` as (n, C, P), with the type and layout of ``room``; there if it must be copied."""
    if copy or feat.dtype != room.dtype or feat.stride() != room.stride():
        feat = room.copy_(feat)
    return feat.flatten(2)


def _standardize_(x: Tensor, work: Tensor) -> Tensor:
    """Bring every channel of ``x`` to mean 0 and variance 1 in place; return 1 / sigma.

    A constant channel becomes 0.
    """
    x.sub_(x.mean(dim=2, keepdim=True))
    variance = torch.square(x, out=work).mean(dim=2, keepdim=True)
    scale = (variance + EPS).rsqrt()
    x.mul_(scale)
    return scale


def _layout(feat: Tensor) -> torch.memory_format:
    """The layout to work in: channels_last if ``feat`` is, else contiguous."""
    last = feat.is_contiguous(memory_format=torch.channels_last) and not feat.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
