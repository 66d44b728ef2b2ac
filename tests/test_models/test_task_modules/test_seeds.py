import math

import pytest
import torch
from mmcv.ops import nms
from mmdet.registry import TASK_UTILS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.task_modules.seeds import (
    MISTSeeds,
    Seeds,
    ThresholdSeeds,
    TopSeeds,
    join_seeds,
)

STRATEGIES = [
    TopSeeds(),
    ThresholdSeeds(relative_thr=0.7),
    ThresholdSeeds(relative_thr=0.2, score_thr=0.6, nms_iou=0.1, max_per_class=6),
    MISTSeeds(),
    MISTSeeds(fraction=0.5, nms_iou=0.4),
]


def boxes(*shape):
    corner = torch.rand(*shape, 2) * 60
    return torch.cat([corner, corner + 5 + torch.rand(*shape, 2) * 25], dim=-1)


def brute_force(strategy, bboxes, scores, image_labels):
    """Seeds of one image as a set of (region, class): class after class, region after region."""
    num_regions = len(bboxes)
    left = scores.clone()
    first = {}
    for c, is_present in enumerate(image_labels.tolist()):
        if is_present:
            region = int(left[:, c].argmax())
            first[c] = (region, left[region, c].item())
            left[region] = 0
    seeds = {(region, c) for c, (region, _) in first.items()}
    if type(strategy) is TopSeeds:
        return seeds
    for c, (region, best) in first.items():
        own = left[:, c].clone()
        own[region] = best
        if isinstance(strategy, MISTSeeds):
            candidates = own.argsort(descending=True)[: math.ceil(strategy.fraction * num_regions)]
        else:
            candidates = own.argsort(descending=True)[: strategy.max_per_class]
            enough = own[candidates] >= max(strategy.relative_thr * best, strategy.score_thr)
            candidates = candidates[enough | (candidates == region)]
        candidates = candidates[(own[candidates] > 0) | (candidates == region)]
        _, keep = nms(bboxes[candidates], own[candidates], strategy.nms_iou)
        seeds |= {(r, c) for r in candidates[keep].tolist()}
    return seeds


def as_set(seeds, bboxes, n):
    found = set()
    for box, label in zip(
        seeds.bboxes[n][seeds.valid[n]], seeds.labels[n][seeds.valid[n]].tolist(), strict=True
    ):
        found.add((int((bboxes == box).all(dim=1).nonzero()[0]), label))
    return found


@pytest.mark.parametrize('strategy', STRATEGIES)
@pytest.mark.parametrize('num_regions', [1, 5, 40])
def test_equals_brute_force(strategy, num_regions):
    for _ in range(4):
        bboxes, scores = boxes(3, num_regions), torch.rand(3, num_regions, 5)
        present = torch.rand(3, 4) < 0.6
        present[:, : max(0, 4 - num_regions)] = False  # as many regions as classes
        seeds = strategy(bboxes, scores, present)
        for n in range(3):
            expected = brute_force(strategy, bboxes[n], scores[n, :, :4], present[n])
            assert as_set(seeds, bboxes[n], n) == expected
            for box, label, score in zip(
                *(part[n][seeds.valid[n]] for part in seeds[:3]), strict=True
            ):
                region = int((bboxes[n] == box).all(dim=1).nonzero()[0])
                assert score == scores[n, region, label]


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_batch_equals_singles(strategy):
    counts = [9, 4, 0, 1]
    bboxes, scores = boxes(4, 9), torch.rand(4, 9, 3)
    present = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=torch.bool)
    valid = torch.arange(9) < torch.tensor(counts)[:, None]
    batch = strategy(bboxes, scores, present, valid)
    for n, count in enumerate(counts):
        if count == 0:
            assert batch.scores[n][batch.valid[n]].sum() == 0
            continue
        single = strategy(bboxes[n : n + 1, :count], scores[n : n + 1, :count], present[n : n + 1])
        for part, single_part in zip(batch[:3], single[:3], strict=True):
            assert torch.equal(part[n][batch.valid[n]], single_part[0][single.valid[0]])


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_two_classes_that_want_one_region_get_one_each(strategy):
    """The lower class has it; the other takes its next best, and each class has a seed."""
    bboxes = torch.tensor([[[0.0, 0, 10, 10], [50, 50, 60, 60], [80, 80, 90, 90]]])
    scores = torch.tensor([[[0.9, 0.95, 0.8], [0.1, 0.5, 0.2], [0.1, 0.1, 0.7]]])
    seeds = strategy(bboxes, scores, torch.ones(1, 3, dtype=torch.bool))
    pairs = as_set(seeds, bboxes[0], 0)
    assert {(0, 0), (1, 1), (2, 2)} <= pairs
    assert not {(0, 1), (0, 2)} & pairs


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_more_classes_than_regions(strategy):
    seeds = strategy(boxes(1, 1), torch.rand(1, 1, 3), torch.ones(1, 3, dtype=torch.bool))
    of_class = {c: seeds.scores[0][(seeds.labels[0] == c) & seeds.valid[0]] for c in range(3)}
    assert of_class[0] > 0
    assert of_class[1] == of_class[2] == 0


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_no_class_present(strategy):
    seeds = strategy(boxes(2, 4), torch.rand(2, 4, 3), torch.zeros(2, 3, dtype=torch.bool))
    assert seeds.bboxes.shape == (2, 1, 4)
    assert not seeds.valid.any()


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_identical_boxes_are_one_seed_of_a_class(strategy):
    bboxes = torch.tensor([[0.0, 0, 10, 10]]).repeat(1, 6, 1)
    seeds = strategy(bboxes, torch.rand(1, 6, 2) + 1, torch.tensor([[False, True]]))
    assert seeds.valid.sum() == 1


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_nothing_is_changed_and_nothing_has_a_gradient(strategy):
    bboxes, scores = boxes(2, 6).requires_grad_(), torch.rand(2, 6, 3, requires_grad=True)
    before = scores.clone()
    seeds = strategy(bboxes, scores, torch.ones(2, 3, dtype=torch.bool))
    assert torch.equal(scores, before)
    assert not any(part.requires_grad for part in seeds if part is not None)


def test_many_seeds_find_many_cells():
    """What top-1 cannot: 8 equal cells of a class, each with 3 shifted regions."""
    x = torch.arange(8.0) * 30
    cells = torch.stack([x, x * 0, x + 20, x * 0 + 20], dim=1)
    regions = torch.cat([cells, cells + 2, cells - 2])[None]
    scores = (0.9 - 0.01 * torch.rand(1, 24, 1)).expand(-1, -1, 2)
    present = torch.tensor([[False, True]])
    assert TopSeeds()(regions, scores, present).valid.sum() == 1
    assert ThresholdSeeds()(regions, scores, present).valid.sum() == 8
    assert MISTSeeds(fraction=1.0)(regions, scores, present).valid.sum() == 8


def test_known_objects_come_first_and_cover_mined_seeds():
    known = Seeds(
        torch.tensor([[[0.0, 0, 10, 10]], [[0.0, 0, 0, 0]]]),
        torch.tensor([[2], [0]]),
        torch.ones(2, 1),
        torch.tensor([[True], [False]]),
    )
    on_it, beside = [1.0, 0.0, 11.0, 10.0], [40.0, 0.0, 50.0, 10.0]
    mined = Seeds(
        torch.tensor([[on_it, beside], [on_it, beside]]),
        torch.zeros(2, 2, dtype=torch.long),
        torch.full((2, 2), 0.5),
        torch.ones(2, 2, dtype=torch.bool),
    )
    joint = join_seeds(known, mined, fg_iou=0.5)
    assert joint.valid.tolist() == [[True, False, True], [False, True, True]]
    assert joint.labels[:, 0].tolist() == [2, 0]
    assert joint.scores[0].tolist() == [1, 0.5, 0.5]
    assert joint.probs is None
    doubtful = join_seeds(known._replace(probs=torch.full((2, 1), 0.3)), mined, fg_iou=0.5)
    torch.testing.assert_close(doubtful.probs[0], torch.tensor([0.3, 1.0, 1.0]))
    assert torch.equal(doubtful.valid, joint.valid)


def test_built_from_config():
    assert isinstance(TASK_UTILS.build(dict(type='TopSeeds')), TopSeeds)
    assert TASK_UTILS.build(dict(type='ThresholdSeeds', nms_iou=0.1)).nms_iou == 0.1
    assert TASK_UTILS.build(dict(type='MISTSeeds')).fraction == 0.15


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ThresholdSeeds(relative_thr=0), r'ThresholdSeeds.relative_thr: .* found 0'),
        (lambda: ThresholdSeeds(score_thr=2), r'ThresholdSeeds.score_thr: .*\[0, 1\], found 2'),
        (lambda: ThresholdSeeds(max_per_class=0), 'max_per_class: expected >= 1, found 0'),
        (lambda: MISTSeeds(fraction=0), r'MISTSeeds.fraction: expected a number in \(0, 1\]'),
        (lambda: MISTSeeds(nms_iou=-1), r'MISTSeeds.nms_iou: .* found -1'),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
