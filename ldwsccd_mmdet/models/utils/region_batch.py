"""Regions of several images as one padded tensor."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...errors import check_argument


class RegionBatch:
    """Regions of a batch, padded to the image that has most.

    Args:
        counts: Regions of each image, R_i; at least one image.
        device: Where :attr:`valid` and :attr:`mask` live.
        min_size: Least width of the padded tensors.
    """

    def __init__(
        self, counts: Sequence[int], device: torch.device | None = None, min_size: int = 0
    ) -> None:
        self.counts = list(counts)
        self.size = max([min_size, *self.counts])
        self._device = device
        #: Boolean (N, max R_i), false for padding; None where there is none.
        self.valid: Tensor | None = None
        if min(self.counts) < self.size:
            per_image = torch.tensor(self.counts, device=device)
            self.valid = torch.arange(self.size, device=device) < per_image[:, None]

    def pad(self, flat: Tensor) -> Tensor:
        """Turn (sum of R_i, ...) into (N, max R_i, ...), with zeros as padding."""
        shape = (len(self.counts), self.size, *flat.shape[1:])
        if len(flat) == shape[0] * shape[1]:
            return flat.view(shape)  # images of equal size
        if len(flat) == 0:
            return flat.new_zeros(shape) + flat.sum()  # stays connected to the graph
        return pad_sequence(flat.split(self.counts), batch_first=True)

    @property
    def mask(self) -> Tensor:
        """:attr:`valid` as a tensor in any case."""
        if self.valid is not None:
            return self.valid
        return torch.ones(len(self.counts), self.size, dtype=torch.bool, device=self._device)


def pad_boxes(bboxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Boxes of a batch as one tensor (N, n, 4), n >= 1, and which of them are real, (N, n) bool.

    Padding is zero: it has no area, so that no box overlaps it.

    Raises:
        ConfigError: If ``bboxes`` is empty or a tensor in it is not (n, 4).
    """
    check_argument(len(bboxes) > 0, 'bboxes', 'one tensor (n_i, 4) per image', list(bboxes))
    for index, boxes in enumerate(bboxes):
        check_argument(
            boxes.dim() == 2 and boxes.shape[1] == 4,
            f'bboxes[{index}]',
            'the shape (n, 4) of x1, y1, x2, y2',
            tuple(boxes.shape),
            'an image without boxes needs new_zeros((0, 4))',
        )
    # a maximum over boxes needs one to look at
    batch = RegionBatch([len(boxes) for boxes in bboxes], bboxes[0].device, min_size=1)
    return batch.pad(torch.cat(list(bboxes))), batch.mask
