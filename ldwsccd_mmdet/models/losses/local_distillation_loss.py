"""Local distillation: a frozen teacher shows the student where, and in which channels, to look."""

from collections.abc import Sequence

import torch
from mmdet.registry import MODELS
from mmdet.utils import OptMultiConfig
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...errors import ConfigError
from .attention import channel_attention, spatial_attention
from .foreground_mask import concatenate_boxes, foreground_mask


@MODELS.register_module()
class LocalDistillationLoss(BaseModule):
    r"""Local distillation loss of LD-WSCCD, eq. 9-14.

    At every level, with the teacher's map :math:`F^T`, the student's :math:`f(F^S)`, the foreground
    mask :math:`M` (eq. 9) and the teacher's attention :math:`A^S, A^C` (eq. 10, 11):

    .. math::
        d &= F^T - f(F^S) \\
        L_{fg} &= \frac{\sum_{c i j} M_{i j} A^S_{i j} A^C_c d_{c i j}^2}{C \max(\sum M, 1)}
        \qquad \text{(eq. 12)} \\
        L_{bg} &= \text{the same with } 1 - M \qquad \text{(eq. 12)} \\
        L_{att} &= \mathrm{mean} |A^S_T - A^S_S| + \mathrm{mean} |A^C_T - A^C_S|
        \qquad \text{(eq. 13)} \\
        L_{dis} &= \alpha L_{fg} + \beta L_{bg} + \gamma L_{att} \qquad \text{(eq. 14)}

    Each term is summed over levels and averaged over images. :math:`F^T` and the teacher's
    attention are constants; the student's attention is taken after :math:`f`, with gradient.
    :math:`f` is a 1 x 1 convolution where the channel numbers differ, else the identity. Everything
    after
    :math:`f` is float32 whatever the autocast.

    Mended against the print, which has no denominator in eq. 12 and names neither T nor the
    weights: ``normalize='region'`` divides each region by its size, so that the loss does not grow
    with the map. ``normalize='sum'`` is the paper to the letter (1e5 and more at 512 x 64 x 64).
    ``normalize='fgd'`` is FGD (Yang et al., CVPR 2022): on the map a box covers the cells
    floor(x1) to ceil(x2) and floor(y1) to ceil(y2), ends included, and weighs 1 / (cells covered
    before clipping), the largest weight where boxes overlap; a background cell weighs
    1 / (number of background cells); all three terms are sums divided by the batch size.

    Args:
        student_channels: Channels of the student's maps, one a level.
        teacher_channels: Channels of the teacher's maps, one a level.
        alpha: Weight of the foreground term, >= 0.
        beta: Weight of the background term, >= 0.
        gamma: Weight of the attention term, >= 0.
        temperature: :math:`T` of eq. 10 and 11, > 0. The paper does not print it; 0.5 is FGD's.
        normalize: 'region', 'sum' or 'fgd'.
        feature_norm: 'standardize' brings every channel of both maps to mean 0 and variance 1 over
            H x W of its image before anything else, as PKD (Cao et al., NeurIPS 2022) does. With
            raw ReLU maps the softmax of eq. 10 and 11 saturates, and a student whose scale differs
            from its teacher's is mostly taught the scale. ``None`` takes the maps as they are.
        init_cfg: Initialisation of :math:`f`.

    Raises:
        ConfigError: If an argument is outside its range or the channel lists differ in length.
    """

    def __init__(
        self,
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        alpha: float = 0.2,
        beta: float = 0.1,
        gamma: float = 0.1,
        temperature: float = 0.5,
        normalize: str = 'region',
        feature_norm: str | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(student_channels) != len(teacher_channels) or len(student_channels) == 0:
            raise ConfigError(
                'LocalDistillationLoss: student_channels and teacher_channels must name the same '
                f'levels (at least one), got {list(student_channels)} and {list(teacher_channels)}'
            )
        if not temperature > 0:
            raise ConfigError(f'LocalDistillationLoss: temperature must be > 0, got {temperature}')
        for name, value in (('alpha', alpha), ('beta', beta), ('gamma', gamma)):
            if not value >= 0:
                raise ConfigError(f'LocalDistillationLoss: {name} must be >= 0, got {value}')
        if normalize not in ('region', 'sum', 'fgd'):
            raise ConfigError(
                "LocalDistillationLoss: normalize must be 'region', 'sum' or 'fgd', "
                f'got {normalize!r}'
            )
        if feature_norm not in (None, 'standardize'):
            raise ConfigError(
                f"LocalDistillationLoss: feature_norm must be None or 'standardize', "
                f'got {feature_norm!r}'
            )
        self.student_channels = tuple(student_channels)
        self.teacher_channels = tuple(teacher_channels)
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature
        self.normalize = normalize
        self.feature_norm = feature_norm
        self.align = nn.ModuleList(
            nn.Identity() if student == teacher else nn.Conv2d(student, teacher, kernel_size=1)
            for student, teacher in zip(student_channels, teacher_channels, strict=True)
        )

    def forward(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> dict[str, Tensor]:
        """Compute the three terms of eq. 14, weighted.

        Args:
            student_feats: One map (N, C_student, H, W) a level, in the order of
                ``student_channels``.
            teacher_feats: One map (N, C_teacher, H, W) a level, of the student's H and W.
            bboxes: Per image (n_i, 4), x1, y1, x2, y2 in pixels of the padded batch tensor.
            input_size: (H_in, W_in) of the padded batch tensor, in pixels.

        Returns:
            ``loss_distill_fg``, ``loss_distill_bg`` and ``loss_distill_attention``, scalars in
            float32 (float64 for float64 maps).

        Raises:
            ConfigError: If the number of levels, the channels, the sizes or the batch differ from
                what was declared or from each other.
        """
        self._check_feats(student_feats, teacher_feats, bboxes)
        foreground = background = attention = student_feats[0].new_zeros((), dtype=torch.float32)
        for align, student, teacher in zip(self.align, student_feats, teacher_feats, strict=True):
            aligned = align(student)
            with torch.autocast(device_type=aligned.device.type, enabled=False):
                level = self._level_loss(aligned, teacher.detach(), bboxes, input_size)
            foreground = foreground + level[0]
            background = background + level[1]
            attention = attention + level[2]
        return dict(
            loss_distill_fg=self.alpha * foreground,
            loss_distill_bg=self.beta * background,
            loss_distill_attention=self.gamma * attention,
        )

    def _level_loss(
        self,
        student: Tensor,
        teacher: Tensor,
        bboxes: Sequence[Tensor],
        input_size: tuple[int, int],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Foreground, background and attention loss of one level, unweighted."""
        if student.dtype != torch.float64:
            student = student.float()
        teacher = teacher.to(student.dtype)
        if self.feature_norm == 'standardize':
            student, teacher = _standardize(student), _standardize(teacher)

        spatial_t = spatial_attention(teacher, self.temperature)
        channel_t = channel_attention(teacher, self.temperature)
        spatial_s = spatial_attention(student, self.temperature)
        channel_s = channel_attention(student, self.temperature)

        # sum over C of A^C d^2 as one product (1, C) x (C, HW) an image
        error = channel_t[:, None] @ (teacher - student).square().flatten(2)
        error = error.view_as(spatial_t) * spatial_t
        foreground, background = self._cell_weights(bboxes, teacher, input_size)
        num_images = len(teacher)
        loss_fg = (error * foreground).sum() / num_images
        loss_bg = (error * background).sum() / num_images

        difference_s = (spatial_t - spatial_s).abs()
        difference_c = (channel_t - channel_s).abs()
        if self.normalize == 'fgd':
            loss_attention = (difference_s.sum() + difference_c.sum()) / num_images
        else:
            loss_attention = difference_s.mean() + difference_c.mean()
        return loss_fg, loss_bg, loss_attention

    def _cell_weights(
        self, bboxes: Sequence[Tensor], feat: Tensor, input_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Weight (N, H, W) of every cell in the foreground and in the background sum of eq. 12."""
        feat_size = (feat.shape[2], feat.shape[3])
        boxes = [box.to(feat) for box in bboxes]
        if self.normalize == 'fgd':
            return _fgd_cell_weights(boxes, feat_size, input_size)
        mask = foreground_mask(boxes, feat_size, input_size)
        if self.normalize == 'sum':
            return mask, 1 - mask
        channels = feat.shape[1]
        num_cells = feat_size[0] * feat_size[1]
        num_fg = mask.sum(dim=(1, 2), keepdim=True)
        num_bg = num_cells - num_fg
        return (
            mask / (channels * num_fg.clamp(min=1)),
            (1 - mask) / (channels * num_bg.clamp(min=1)),
        )

    def _check_feats(
        self,
        student_feats: Sequence[Tensor],
        teacher_feats: Sequence[Tensor],
        bboxes: Sequence[Tensor],
    ) -> None:
        levels = len(self.student_channels)
        if len(student_feats) != levels or len(teacher_feats) != levels:
            raise ConfigError(
                f'LocalDistillationLoss: {levels} levels were declared by student_channels, got '
                f'{len(student_feats)} maps of the student and {len(teacher_feats)} of the teacher'
            )
        for level, (student, teacher) in enumerate(zip(student_feats, teacher_feats, strict=True)):
            for name, feat, channels in (
                ('student', student, self.student_channels[level]),
                ('teacher', teacher, self.teacher_channels[level]),
            ):
                if feat.shape[1] != channels:
                    raise ConfigError(
                        f'LocalDistillationLoss: {name}_channels[{level}] is {channels}, but the '
                        f'{name} gives {feat.shape[1]} channels there; set {name}_channels to the '
                        f'channels that the {name} really has'
                    )
            if student.shape[2:] != teacher.shape[2:]:
                raise ConfigError(
                    f'LocalDistillationLoss: at level {level} the student has '
                    f'{tuple(student.shape[2:])} cells (H, W) and the teacher '
                    f'{tuple(teacher.shape[2:])}; pair levels of equal stride: choose a teacher, '
                    'or its start_level / strides, so that the sizes agree'
                )
            if not len(student) == len(teacher) == len(bboxes):
                raise ConfigError(
                    f'LocalDistillationLoss: got {len(student)} images of the student, '
                    f'{len(teacher)} of the teacher and boxes of {len(bboxes)} at level {level}'
                )


def _standardize(feat: Tensor, eps: float = 1e-6) -> Tensor:
    """Mean 0 and variance 1 over H x W for each image and channel; a constant channel becomes 0."""
    centred = feat - feat.mean(dim=(2, 3), keepdim=True)
    variance = centred.square().mean(dim=(2, 3), keepdim=True)
    return centred * (variance + eps).rsqrt()


def _fgd_cell_weights(
    bboxes: Sequence[Tensor], feat_size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Scale masks of FGD for the foreground and the background, (N, H, W) each."""
    boxes, image = concatenate_boxes(bboxes)
    height, width = feat_size
    scale = boxes.new_tensor([width, height, width, height])
    pixels = boxes.new_tensor([input_size[1], input_size[0], input_size[1], input_size[0]])
    on_map = boxes * scale / pixels
    left, top = on_map[:, 0].floor(), on_map[:, 1].floor()
    right, bottom = on_map[:, 2].ceil(), on_map[:, 3].ceil()
    weight = 1 / ((right - left + 1) * (bottom - top + 1)).clamp(min=1)

    y = torch.arange(height, device=boxes.device)
    x = torch.arange(width, device=boxes.device)
    rows = (y >= top[:, None]) & (y <= bottom[:, None])
    columns = (x >= left[:, None]) & (x <= right[:, None])
    covered = (rows[:, :, None] & columns[:, None, :]) * weight[:, None, None]
    foreground = boxes.new_zeros((len(bboxes), height * width)).scatter_reduce(
        0, image[:, None].expand(-1, height * width), covered.flatten(1), reduce='amax'
    )
    background = (foreground == 0).to(foreground)
    background = background / background.sum(dim=1, keepdim=True).clamp(min=1)
    return foreground.view(-1, height, width), background.view(-1, height, width)
