"""Fast R-CNN that asks a proposer for its regions."""

from typing import Any

from mmdet.models.detectors import FastRCNN
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor


@MODELS.register_module()
class ProposerFastRCNN(FastRCNN):
    """Fast R-CNN (Girshick, 2015) whose regions come from one of our proposers.

    mmdet's ``FastRCNN`` takes the regions that the data pipeline loads (``LoadProposals``); this
    one asks the proposer for each batch, so that the pipeline is that of any other detector.

    Args:
        *args: As ``FastRCNN``.
        proposer: Config of a proposer, such as :class:`PriorProposer` or :class:`FileProposer`.
        **kwargs: As ``FastRCNN``.
    """

    def __init__(self, *args: Any, proposer: ConfigType, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.proposer = TASK_UTILS.build(proposer)

    def propose(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> None:
        """Give each sample its ``proposals``, in pixels of the batch tensor."""
        metas = [sample.metainfo for sample in batch_data_samples]
        regions = self.proposer(batch_inputs, metas, self.data_preprocessor)
        for sample, region in zip(batch_data_samples, regions, strict=True):
            sample.proposals = region

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Compute the losses, see ``FastRCNN``."""
        self.propose(batch_inputs, batch_data_samples)
        return super().loss(batch_inputs, batch_data_samples)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Detect, see ``FastRCNN``."""
        self.propose(batch_inputs, batch_data_samples)
        return super().predict(batch_inputs, batch_data_samples, rescale)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> tuple:
        self.propose(batch_inputs, batch_data_samples)
        return super()._forward(batch_inputs, batch_data_samples)
