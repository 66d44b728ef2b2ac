"""How many cells of a data set the regions of a proposer reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from ..errors import ConfigError
from ..evaluation.functional import ProposalRecall, proposal_recall
from ..models.detectors import LDWSCCDMixin
from .find_checkpoint import find_checkpoint
from .model_weights import load_weights

__all__ = ['KINDS', 'MeasuredProposer', 'ProposerRecall', 'build_proposer']

#: From a collated batch to boxes (pixels of the batch tensor) and scores of each image.
Propose = Callable[[dict], list[tuple[np.ndarray, np.ndarray]]]
KINDS = ('config', 'head', 'blobs', 'priors', 'priors-even', 'selective-search')
BATCH_SIZE = 4


@dataclass(frozen=True)
class MeasuredProposer:
    """What was measured of a proposer.

    Attributes:
        recall: Its recall by class, number of regions and overlap.
        regions: Boxes and scores (R, 5) by image id, pixels of the image files.
        seconds: Processor time an image.
    """

    recall: ProposalRecall
    regions: dict[str, np.ndarray]
    seconds: float

    def save(self, path: Path) -> None:
        """Write the regions to a ``.npz`` that ``FileProposer`` reads."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = dict(self.regions)
        np.savez_compressed(path, **arrays)


class ProposerRecall:
    """Measures proposers on the images of a data set.

    Args:
        dataset: The data set, without augmentation, as of :func:`build_plain_dataset`.
        nums: Numbers of regions.
        ious: Overlaps that count.
        max_images: Look only at so many, evenly spread.
    """

    def __init__(
        self,
        dataset: Any,
        nums: Sequence[int],
        ious: Sequence[float],
        max_images: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.nums = nums
        self.ious = ious
        count = min(max_images or len(dataset), len(dataset))
        indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)
        self.indices = [int(index) for index in indices]

    def batches(self) -> Iterator[list[int]]:
        """Yield the images of each batch, by their place in the set."""
        for start in range(0, len(self.indices), BATCH_SIZE):
            yield self.indices[start : start + BATCH_SIZE]

    def run(self, propose: Propose, batches: Iterable[list[int]]) -> MeasuredProposer:
        """Measure one proposer.

        Args:
            propose: As of :func:`build_proposer`.
            batches: What :meth:`batches` gives; a progress bar may stand between.
        """
        regions: dict[str, np.ndarray] = {}
        spent = 0.0
        for chosen in batches:
            batch = pseudo_collate([self.dataset[index] for index in chosen])
            samples = batch['data_samples']
            start = time.process_time()
            found = propose(batch)
            spent += time.process_time() - start
            for sample, (bboxes, scores) in zip(samples, found, strict=True):
                x, y = sample.scale_factor[:2] if 'scale_factor' in sample else (1.0, 1.0)
                boxes = bboxes / np.array([x, y, x, y], np.float32)
                regions[str(sample.img_id)] = np.concatenate([boxes, scores[:, None]], axis=1)
        cells = [self.dataset.get_data_info(index)['instances'] for index in self.indices]
        recall = proposal_recall(
            [region[:, :4] for region in regions.values()],
            [np.array([cell['bbox'] for cell in own], float).reshape(-1, 4) for own in cells],
            [np.array([cell['bbox_label'] for cell in own], int) for own in cells],
            len(self.dataset.metainfo['classes']),
            self.nums,
            self.ious,
        )
        return MeasuredProposer(recall, regions, spent / max(len(self.indices), 1))


def build_proposer(
    kind: str,
    config: Config,
    max_per_img: int,
    checkpoint: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Propose:
    """Build what proposes regions.

    Args:
        kind: One of :data:`KINDS`, or a ``.json`` or ``.npz`` file of regions.
        config: The config of a training.
        max_per_img: Regions an image at most.
        checkpoint: Weights, for 'head'.
        options: Further arguments of the proposer.

    Raises:
        ConfigError: The kind is unknown, or the config lacks what it needs.
    """
    if kind == 'head':
        assert checkpoint is not None
        return _head(config, checkpoint, max_per_img)
    settings = _settings(kind, config)
    proposer: Any = TASK_UTILS.build({'max_per_img': max_per_img, **settings, **(options or {})})
    preprocessor: Any = MODELS.build(config.model.data_preprocessor)

    def propose(batch: dict) -> list[tuple[np.ndarray, np.ndarray]]:
        data = preprocessor(batch, False)
        metas = [sample.metainfo for sample in data['data_samples']]
        return _arrays(proposer(data['inputs'], metas, preprocessor))

    return propose


def _settings(kind: str, config: Config) -> dict[str, Any]:
    """Settings of a proposer that is no network."""
    if kind == 'config':
        if not config.model.get('proposer'):
            raise ConfigError('--proposer config needs model.proposer, found none in the config')
        return dict(config.model.proposer)
    if kind == 'blobs':
        return {'type': 'NucleusBlobProposer'}
    if kind == 'selective-search':
        return {'type': 'SelectiveSearchProposer'}
    if kind in ('priors', 'priors-even'):
        head = config.model.get('bbox_head') or config.model.get('rpn_head') or {}
        generator = head.get('anchor_generator')
        if generator is None:
            raise ConfigError(
                f'--proposer {kind} needs model.bbox_head.anchor_generator, found none'
            )
        rank = 'even' if kind == 'priors-even' else 'contrast'
        return {'type': 'PriorProposer', 'anchor_generator': generator, 'rank': rank}
    if Path(kind).suffix in ('.json', '.npz'):
        return {'type': 'FileProposer', 'file': kind}
    raise ConfigError(f'--proposer {kind}: expected {", ".join(KINDS)}, or a .json or .npz file')


def _head(config: Config, checkpoint: str, max_per_img: int) -> Propose:
    """The regions of the student's own head: the SSD head's, or the RPN's."""
    if 'rpn_head' in config.model:
        config.model.test_cfg.rpn.max_per_img = max_per_img
    model: Any = MODELS.build(config.model)
    rpn: Any = getattr(model, 'rpn_head', None)
    if not isinstance(model, LDWSCCDMixin) and rpn is None:
        raise ConfigError(
            "model.type: expected 'LDWSCCD', or a detector with a rpn_head, for --proposer head, "
            f'found {type(model).__name__}'
        )
    load_weights(model, find_checkpoint(checkpoint))
    model.eval()

    @torch.no_grad()
    def propose(batch: dict) -> list[tuple[np.ndarray, np.ndarray]]:
        data = model.data_preprocessor(batch, False)
        feats, samples = model.extract_feat(data['inputs']), data['data_samples']
        if isinstance(model, LDWSCCDMixin):
            return _arrays(model.find_regions(feats, samples, max_per_img))
        found = rpn.predict(feats, samples, rescale=False)
        return _arrays([regions[:max_per_img] for regions in found])

    return propose


def _arrays(found: list) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(item.bboxes.cpu().numpy(), item.scores.cpu().numpy()) for item in found]
