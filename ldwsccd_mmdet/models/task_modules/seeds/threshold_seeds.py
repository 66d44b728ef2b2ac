"""Several seeds a class: all that score nearly as high as the best."""

import torch
from mmdet.registry import TASK_UTILS
from torch import Tensor

from ....errors import check_argument
from ...utils import RegionBatch, cluster_nms
from .seeds import Seeds
from .top_seeds import TopSeeds, zero_where


@TASK_UTILS.register_module()
class ThresholdSeeds(TopSeeds):
    """All regions that score at least a share of their class's best, after NMS.

    Each class present first claims its best region, as in :class:`TopSeeds`; further seeds come
    from the regions that no class claimed. So every class present has a seed.

    Args:
        relative_thr: Share of the best score that a seed needs, in (0, 1].
        score_thr: Score that a further seed needs as well, in [0, 1].
        nms_iou: Seeds of one class overlap each other by at most this IoU, in [0, 1].
        max_per_class: Regions of a class that are looked at, the highest first; >= 1.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        relative_thr: float = 0.9,
        score_thr: float = 0.0,
        nms_iou: float = 0.3,
        max_per_class: int = 100,
    ) -> None:
        for name, value, least in (
            ('relative_thr', relative_thr, 1e-6),
            ('score_thr', score_thr, 0),
            ('nms_iou', nms_iou, 0),
        ):
            key = f'{type(self).__name__}.{name}'
            check_argument(least <= value <= 1, key, f'a number in [{least:g}, 1]', value)
        key = f'{type(self).__name__}.max_per_class'
        check_argument(max_per_class >= 1, key, '>= 1', max_per_class)
        self.relative_thr = relative_thr
        self.score_thr = score_thr
        self.nms_iou = nms_iou
        self.max_per_class = max_per_class

    def _num_ranks(self, num_regions: Tensor) -> Tensor:
        """How many of an image's regions a class may look at, (N,) from (N,)."""
        return num_regions.clamp(max=self.max_per_class)

    def __call__(
        self, bboxes: Tensor, scores: Tensor, present: Tensor, valid: Tensor | None = None
    ) -> Seeds:
        """Choose the seeds of a batch, without a gradient; see :meth:`TopSeeds.__call__`.

        Returns:
            The seeds of each image by falling score.
        """
        with torch.no_grad():
            best, chosen, left = self._claim(scores, present, valid)
            image, label = present.nonzero(as_tuple=True)
            best = best[image, label, None]
            # (P, R): what is left when all classes have chosen, and the class's own choice
            claim = zero_where(present, left)[image]
            own = left[image, label].scatter_reduce(1, chosen[image], claim, 'amin')
            own = own.scatter(1, chosen[image, label, None], best)
            full = present.new_full((len(present),), scores.shape[1], dtype=torch.long)
            num_ranks = self._num_ranks(full if valid is None else valid.sum(dim=1))
            ranked, index = own.topk(max(int(num_ranks.max()), 1), dim=1)
            rank = torch.arange(ranked.shape[1], device=own.device)
            candidate = (ranked >= self.relative_thr * best) & (ranked >= self.score_thr)
            candidate &= (ranked > 0) & (rank < num_ranks[image, None])
            candidate[:, :1] = True
            boxes = bboxes[image[:, None], index]
            pair, place = cluster_nms(boxes, candidate, self.nms_iou).nonzero(as_tuple=True)

            # by image, and in each by falling score: of two equal boxes the higher score counts
            order = ranked[pair, place].sort(descending=True, stable=True).indices
            order = order[image[pair[order]].sort(stable=True).indices]
            pair, place = pair[order], place[order]
            counts = torch.bincount(image[pair], minlength=len(present)).tolist()
            batch = RegionBatch(counts, own.device, min_size=1)
            return Seeds(
                batch.pad(boxes[pair, place]),
                batch.pad(label[pair]),
                batch.pad(ranked[pair, place]),
                batch.mask,
            )
