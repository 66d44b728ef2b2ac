"""The second stage of R-CNN and SPP-Net: linear machines with hard negatives, and ridge boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi, bbox_overlaps
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from scipy import linalg
from torch import Tensor

from ..datasets.plain_dataset import build_plain_dataset
from ..errors import ConfigError, DatasetError
from ..models.roi_heads.bbox_heads import SVMBBoxHead
from ..optional import require
from .checkpoint_file import read_checkpoint
from .model_weights import demand_weights, find_weights_of

__all__ = ['ClassReport', 'HardNegatives', 'RidgeBoxes', 'train_svms']

# R-CNN's published settings
NEGATIVE_IOU = 0.3  # a region is a negative of a class below this IoU with all its boxes
REGRESSION_IOU = 0.6  # a region learns to move to a box from this IoU on
C, BIAS, POSITIVE_WEIGHT = 1e-3, 10.0, 2.0  # of the machines
HARD, EASY = -1.0001, -1.2  # margins from which on a negative is kept, and below which it goes
NEVER = -20.0  # margin of a class without a box: no threshold lets it through
RETRAIN = 2000  # new hard negatives after which a machine is trained anew
FEATURE_NORM = 20.0  # mean length of a machine's features
RIDGE = 1000.0
BATCH_SIZE = 4

#: Wraps the batches of a pass, for a bar; gets its name.
Track = Callable[[Iterable[list[int]], str], Iterable[list[int]]]


@dataclass(frozen=True)
class ClassReport:
    """What one class's machine was trained on.

    Attributes:
        name: Of the class.
        positives: Its boxes.
        negatives: Hard negatives that are left in the end.
        seen: Regions that were looked at.
        trainings: How often the machine was trained.
        pairs: Regions that its box regression learnt from.
    """

    name: str
    positives: int
    negatives: int
    seen: int
    trainings: int
    pairs: int


@dataclass
class HardNegatives:
    """A linear machine of one class that is trained anew as hard negatives come in.

    As R-CNN's code has it: negatives of a margin above -1.0001 are kept; after 2000 new ones the
    machine is trained on all that are kept, and those of a margin below -1.2 go again.

    Args:
        positives: Features (n, D).
        seed: Of liblinear, which visits its examples in a random order.

    Attributes:
        weight: (D,).
        bias: One number.
    """

    positives: np.ndarray
    seed: int = 0
    weight: np.ndarray = field(init=False)
    bias: float = field(init=False, default=NEVER)
    trainings: int = field(init=False, default=0)
    seen: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.weight = np.zeros(self.positives.shape[1])
        self._kept: list[np.ndarray] = []
        self._new = 0

    @property
    def negatives(self) -> int:
        """How many are kept."""
        return sum(map(len, self._kept))

    def show(self, negatives: np.ndarray) -> None:
        """Look at negatives (m, D); keep the hard ones."""
        self.seen += len(negatives)
        if self.trainings:
            negatives = negatives[self.margins(negatives) > HARD]
        if not len(negatives) or not len(self.positives):
            return
        self._kept.append(negatives)
        self._new += len(negatives)
        # the first image's negatives make the first machine
        if self._new >= RETRAIN or not self.trainings:
            self.train()

    def margins(self, features: np.ndarray) -> np.ndarray:
        """Margins (m,) of features (m, D)."""
        return features @ self.weight + self.bias

    def train(self) -> None:
        """Train on all that are kept; then let easy negatives go."""
        if not self._new:
            return
        svm = require('sklearn.svm', 'rcnn', 'Training support vector machines')
        negatives = np.concatenate(self._kept)
        machine = svm.LinearSVC(
            C=C,
            loss='hinge',
            intercept_scaling=BIAS,
            class_weight={1: POSITIVE_WEIGHT, 0: 1.0},
            random_state=self.seed,
            max_iter=10_000,
        )
        labels = np.repeat([1, 0], [len(self.positives), len(negatives)])
        machine.fit(np.concatenate([self.positives, negatives]), labels)
        self.weight, self.bias = machine.coef_[0], float(machine.intercept_[0])
        self._kept = [negatives[self.margins(negatives) >= EASY]]
        self._new = 0
        self.trainings += 1


class RidgeBoxes:
    r"""Ridge regression from features to the way to a box, from sums over all pairs.

    .. math::
        W = \arg\min_W \sum_i \| t_i - W^T \phi_i - b \|^2 + \lambda \| W \|^2

    (Girshick et al., CVPR 2014, eq. 5, :math:`\lambda = 1000`), the offset b without a penalty.

    Args:
        size: Length D of the features.
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self._squares = np.zeros((size, size))
        self._products = np.zeros((size, 4))
        self._sum, self._sum_targets = np.zeros(size), np.zeros(4)

    def add(self, features: np.ndarray, targets: np.ndarray) -> None:
        """Add pairs: features (n, D), targets (n, 4)."""
        features, targets = features.astype(np.float64), targets.astype(np.float64)
        self.count += len(features)
        self._squares += features.T @ features
        self._products += features.T @ targets
        self._sum += features.sum(axis=0)
        self._sum_targets += targets.sum(axis=0)

    def solve(self) -> tuple[np.ndarray, np.ndarray]:
        """Weights (4, D) and offsets (4,); zeros, which move nothing, without a pair."""
        size = len(self._sum)
        if not self.count:
            return np.zeros((4, size)), np.zeros(4)
        mean, mean_targets = self._sum / self.count, self._sum_targets / self.count
        squares = self._squares - self.count * np.outer(mean, mean)
        products = self._products - self.count * np.outer(mean, mean_targets)
        squares[np.diag_indices(size)] += RIDGE
        weights = linalg.solve(squares, products, assume_a='pos').T
        return weights, mean_targets - weights @ mean


@dataclass
class _Image:
    """The regions of one image; boxes in pixels of the batch tensor."""

    regions: Tensor
    boxes: Tensor
    labels: Tensor


class _Regions:
    """Yields the regions of a training set, and their features."""

    def __init__(self, model: Any, dataset: Any) -> None:
        self.model = model
        self.dataset = dataset
        self.device = next(model.parameters()).device

    def chunks(self) -> list[list[int]]:
        """The images of each batch, by their place in the set."""
        indices = list(range(len(self.dataset)))
        return [indices[i : i + BATCH_SIZE] for i in range(0, len(indices), BATCH_SIZE)]

    def images(self, chunk: Sequence[int]) -> tuple[tuple[Tensor, ...], list[_Image]]:
        """Maps and regions of a batch."""
        model = self.model
        batch = pseudo_collate([self.dataset[index] for index in chunk])
        batch = model.data_preprocessor(batch, False)
        samples = batch['data_samples']
        model.propose(batch['inputs'], samples)
        found = []
        for index, sample in zip(chunk, samples, strict=True):
            cells = self.dataset.get_data_info(index)['instances']
            cells = [cell for cell in cells if not cell['ignore_flag']]
            boxes = torch.tensor([cell['bbox'] for cell in cells], dtype=torch.float32).view(-1, 4)
            scale = boxes.new_tensor([*sample.metainfo.get('scale_factor', (1.0, 1.0))[:2]] * 2)
            labels = torch.tensor([cell['bbox_label'] for cell in cells], dtype=torch.long)
            regions = sample.proposals.bboxes
            found.append(_Image(regions, (boxes * scale).to(regions), labels.to(regions.device)))
        return model.extract_feat(batch['inputs']), found

    def features(
        self, feats: tuple[Tensor, ...], bboxes: list[Tensor]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Features of the boxes and of the machines, image by image."""
        head = self.model.roi_head
        if not sum(map(len, bboxes)):
            pooled = np.zeros((0, head.bbox_head.fc_reg.in_features), np.float32)
            shared = np.zeros((0, head.bbox_head.fc_cls.in_features), np.float32)
            return [(pooled, shared) for _ in bboxes]
        extractor = head.bbox_roi_extractor
        x = extractor(feats[: extractor.num_inputs], bbox2roi(bboxes))
        pair = [part.float().cpu() for part in head.bbox_head.region_features(x)]
        sizes = [len(boxes) for boxes in bboxes]
        pooled, shared = (part.split(sizes) for part in pair)
        return [(a.numpy(), b.numpy()) for a, b in zip(pooled, shared, strict=True)]


@torch.no_grad()
def train_svms(
    config: Config,
    checkpoint: str,
    out: str | Path,
    seed: int = 0,
    track: Track = lambda chunks, title: chunks,
) -> list[ClassReport]:
    """Find the machines and boxes of a :class:`SVMBBoxHead`, and write a checkpoint with them.

    Two passes over the training set, read without augmentation. The first takes the features of
    all boxes, the machines' positives, and those of the regions that overlap a box by 0.6 and more,
    which learn to move to it. The second looks for hard negatives among the regions of each image.

    Args:
        config: The config with the head; its other parts are those of the checkpoint.
        checkpoint: Of the network, as fine-tuned with a softmax.
        out: The checkpoint to write, for the same config.
        seed: Of the machines.
        track: Wraps the batches of each pass, for a bar.

    Returns:
        What each class was trained on.

    Raises:
        ConfigError: If the model has no such head, or no proposer.
        CheckpointError: If the checkpoint is not of this model.
        DatasetError: If the set has no box.
        InputError: If scikit-learn is not installed.
    """
    require('sklearn.svm', 'rcnn', 'Training support vector machines')
    model = _build(config, checkpoint)
    dataset = build_plain_dataset(config, 'train')
    regions = _Regions(model, dataset)
    classes = list(dataset.metainfo['classes'])
    positives, boxes = _first_pass(regions, len(classes), track)
    if not sum(map(len, positives)):
        raise DatasetError('svm: the training set has no box, expected some of each class')
    scale = FEATURE_NORM / np.linalg.norm(np.concatenate(positives), axis=1).mean().clip(1e-6)
    machines = [HardNegatives(features * scale, seed) for features in positives]
    for chunk in track(regions.chunks(), 'hard negatives'):
        feats, images = regions.images(chunk)
        found = regions.features(feats, [image.regions for image in images])
        for image, (_, shared) in zip(images, found, strict=True):
            for label, machine in enumerate(machines):
                own = image.boxes[image.labels == label]
                far = _best_iou(image.regions, own) < NEGATIVE_IOU
                machine.show(shared[far.cpu().numpy()] * scale)
    for machine in machines:
        machine.train()
    _write(model, machines, boxes, scale, Path(out), classes)
    return [
        ClassReport(
            name,
            len(machine.positives),
            machine.negatives,
            machine.seen,
            machine.trainings,
            ridge.count,
        )
        for name, machine, ridge in zip(classes, machines, boxes, strict=True)
    ]


def _build(config: Config, checkpoint: str) -> Any:
    """The detector with the weights of a checkpoint, all but those that are to be found."""
    model: Any = MODELS.build(config.model)
    head = getattr(getattr(model, 'roi_head', None), 'bbox_head', None)
    if not isinstance(head, SVMBBoxHead) or not hasattr(model, 'proposer'):
        raise ConfigError(
            'model.roi_head.bbox_head: expected type SVMBBoxHead in a detector with a proposer '
            f'(RCNN, ProposerFastRCNN), found {type(head).__name__} in {type(model).__name__}; '
            'take configs/rcnn/*_svm.py or configs/sppnet/*_svm.py'
        )
    fit = find_weights_of(model, read_checkpoint(checkpoint), checkpoint)
    found_here = ('roi_head.bbox_head.fc_cls.', 'roi_head.bbox_head.fc_reg.')
    demand_weights(fit.of(lambda name: not name.startswith(found_here)), checkpoint)
    model.load_state_dict(fit.state, strict=False)
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').eval()


def _first_pass(
    regions: _Regions, num_classes: int, track: Track
) -> tuple[list[np.ndarray], list[RidgeBoxes]]:
    """Features of all boxes, class by class, and the sums of the box regression."""
    head = regions.model.roi_head.bbox_head
    ridges = [RidgeBoxes(head.fc_reg.in_features) for _ in range(num_classes)]
    positives: list[list[np.ndarray]] = [[] for _ in range(num_classes)]
    for chunk in track(regions.chunks(), 'boxes'):
        feats, images = regions.images(chunk)
        of_boxes = regions.features(feats, [image.boxes for image in images])
        near = [_near(image) for image in images]
        moving = [image.regions[index] for image, (index, _) in zip(images, near, strict=True)]
        of_regions = regions.features(feats, moving)
        for image, (_, shared), (_, box), start, (pooled, _) in zip(
            images, of_boxes, near, moving, of_regions, strict=True
        ):
            labels = image.labels.cpu().numpy()
            targets = head.bbox_coder.encode(start, image.boxes[box]).cpu().numpy()
            moved = labels[box.cpu().numpy()]
            for label in range(num_classes):
                positives[label].append(shared[labels == label])
                ridges[label].add(pooled[moved == label], targets[moved == label])
    return [np.concatenate(parts).astype(np.float64) for parts in positives], ridges


def _near(image: _Image) -> tuple[Tensor, Tensor]:
    """Regions that overlap a box enough to move to it, and the box of each; as indices."""
    if not len(image.boxes) or not len(image.regions):
        none = torch.zeros(0, dtype=torch.long, device=image.regions.device)
        return none, none
    best, box = bbox_overlaps(image.regions, image.boxes).max(dim=1)
    sized = (image.boxes[:, 2:] > image.boxes[:, :2]).all(dim=1)
    index = ((best >= REGRESSION_IOU) & sized[box]).nonzero().flatten()
    return index, box[index]


def _best_iou(regions: Tensor, boxes: Tensor) -> Tensor:
    """The greatest IoU (R,) of each region with any of the boxes."""
    if not len(boxes):
        return regions.new_zeros(len(regions))
    return bbox_overlaps(regions, boxes).amax(dim=1)


def _write(
    model: Any,
    machines: Sequence[HardNegatives],
    boxes: Sequence[RidgeBoxes],
    scale: float,
    out: Path,
    classes: Sequence[str],
) -> None:
    """Put machines and boxes into the head, and write a checkpoint."""
    head = model.roi_head.bbox_head
    weights = np.stack([machine.weight * scale for machine in machines])
    head.fc_cls.weight.copy_(torch.from_numpy(weights))
    head.fc_cls.bias.copy_(torch.tensor([machine.bias for machine in machines]))
    solved = [ridge.solve() for ridge in boxes]
    head.fc_reg.weight.copy_(torch.from_numpy(np.concatenate([w for w, _ in solved])))
    head.fc_reg.bias.copy_(torch.from_numpy(np.concatenate([b for _, b in solved])))
    state = {key: value.cpu() for key, value in model.state_dict().items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(meta=dict(dataset_meta=dict(classes=tuple(classes))), state_dict=state), out)
