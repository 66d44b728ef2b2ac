"""One seed a class."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from .seeds import Seeds


@TASK_UTILS.register_module()
class TopSeeds:
    """The region of highest score of each class present (Tang et al., OICR, CVPR 2017).

    Classes choose in ascending order. A region that was chosen gets the score 0 for all classes,
    so that no later class can claim it.
    """

    def __call__(
        self, bboxes: Tensor, scores: Tensor, present: Tensor, valid: Tensor | None = None
    ) -> Seeds:
        """Choose the seeds of a batch, without a gradient.

        Args:
            bboxes: Regions (N, R, 4), R >= 1.
            scores: Scores of the regions, (N, R, >= C), >= 0; columns from C on are not looked at.
            present: Boolean (N, C), true where the class occurs in the image.
            valid: Boolean (N, R), false for padding; None for none.

        Returns:
            The seeds, one a class present, in ascending class order.
        """
        with torch.no_grad():
            best, chosen, _ = self._claim(scores, present, valid)
            # classes present first: an image has few of many
            width = max(int(present.sum(dim=1).max()), 1)
            present, labels = present.sort(dim=1, descending=True, stable=True)
            present, labels = present[:, :width], labels[:, :width]
            chosen = chosen.gather(1, labels)[..., None].expand(-1, -1, 4)
            return Seeds(bboxes.gather(1, chosen), labels, best.gather(1, labels), present)

    @staticmethod
    def _claim(
        scores: Tensor, present: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Let each class choose.

        Returns:
            Scores (N, C) and indices (N, C) of the chosen regions, and all scores (N, C, R): -1 for
            padding, and at most 0 for what an earlier class chose, if a later one wanted it too.
        """
        num_classes = present.shape[1]
        own = scores[..., :num_classes].transpose(1, 2).contiguous()
        if valid is not None:
            own = own.masked_fill(~valid[:, None, :], -1)
        # (N, C, C): of the other classes, those that choose before class c
        before = present[:, None, :] & present.new_ones(num_classes, num_classes).tril(-1)
        left = own
        best, chosen = left.max(dim=-1)
        # all choose at once; while some class wants what an earlier one chose, all choose anew
        # without it: the first class is right at once, and each round makes one more class right
        for _ in range(num_classes):
            taken = chosen[:, None, :].expand(-1, num_classes, -1)
            if not ((taken == chosen[..., None]) & before & (best > 0)[..., None]).any():
                break
            left = own.scatter_reduce(2, taken, zero_where(before, own), 'amin')
            best, chosen = left.max(dim=-1)
        return best.clamp(min=0), chosen, left


def zero_where(condition: Tensor, like: Tensor) -> Tensor:
    """What takes a score to 0, at most, where the condition holds: 0 there, else infinity."""
    return torch.where(condition, 0.0, torch.inf).to(like)
