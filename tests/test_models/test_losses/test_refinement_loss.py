import pytest
import torch

from ldwsccd_mmdet.models.losses import refinement_loss, refinement_targets
from ldwsccd_mmdet.models.losses.refinement_loss import box_refinement_loss, match_seeds
from ldwsccd_mmdet.models.task_modules import Seeds


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return inter / (area - inter)


def brute_force_targets(bboxes, scores, image_labels, fg_iou):
    """Eq. 16's pseudo-labels as OICR's loop over classes and regions finds them."""
    num_classes = len(image_labels)
    scores = scores[:, :num_classes].clone()
    seeds = []
    for c in range(num_classes):
        if image_labels[c] > 0:
            r = int(scores[:, c].argmax())
            seeds.append((r, c, scores[r, c].item()))
            scores[r] = 0
    labels, weights = [], []
    for box in bboxes.tolist():
        best, label, weight = -1.0, num_classes, 0.0
        for r, c, score in seeds:
            overlap = iou(box, bboxes[r].tolist())
            if overlap > best:
                best, weight = overlap, score
                label = c if overlap >= fg_iou else num_classes
        labels.append(label)
        weights.append(weight)
    return torch.tensor(labels), torch.tensor(weights, dtype=torch.float64)


def random_boxes(n):
    corner = torch.rand(n, 2, dtype=torch.float64) * 40
    return torch.cat([corner, corner + 10 + torch.rand(n, 2, dtype=torch.float64) * 30], dim=1)


@pytest.mark.parametrize('num_regions', [1, 2, 30])
@pytest.mark.parametrize('fg_iou', [0.0, 0.3, 0.5, 1.0])
def test_targets_equal_brute_force(num_regions, fg_iou):
    for _ in range(5):
        bboxes = random_boxes(num_regions)
        scores = torch.rand(num_regions, 5, dtype=torch.float64)
        y = (torch.rand(4) < 0.6).float()
        labels, weights = refinement_targets(bboxes, scores, y, fg_iou)
        expected_labels, expected_weights = brute_force_targets(bboxes, scores, y, fg_iou)
        if y.sum() <= num_regions:  # with more classes than regions a weight is 0 all the same
            assert torch.equal(labels, expected_labels)
        torch.testing.assert_close(weights, expected_weights)


def test_batch_equals_singles():
    counts = [7, 3, 0, 5]
    bboxes = torch.stack([random_boxes(7) for _ in counts])
    scores = torch.rand(4, 7, 5)
    y = (torch.rand(4, 4) < 0.5).float()
    valid = torch.arange(7) < torch.tensor(counts)[:, None]
    labels, weights = refinement_targets(bboxes, scores, y, 0.4, valid=valid)
    for n, count in enumerate(counts):
        single = refinement_targets(bboxes[n, :count], scores[n, :count], y[n], 0.4)
        assert torch.equal(labels[n, :count], single[0])
        assert torch.equal(weights[n, :count], single[1])
        assert (labels[n, count:] == 4).all()
        assert (weights[n, count:] == 0).all()


def test_two_classes_that_want_one_region():
    bboxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
    scores = torch.tensor([[0.9, 0.8], [0.1, 0.2]])
    labels, weights = refinement_targets(bboxes, scores, torch.ones(2))
    assert labels.tolist() == [0, 1]
    torch.testing.assert_close(weights, torch.tensor([0.9, 0.2]))


def test_background_takes_the_weight_of_its_nearest_seed():
    bboxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [8.0, 8.0, 20.0, 20.0]])
    scores = torch.tensor([[0.7], [0.3]])
    labels, weights = refinement_targets(bboxes, scores, torch.ones(1))
    assert labels.tolist() == [0, 1]
    torch.testing.assert_close(weights, torch.tensor([0.7, 0.7]))


def test_identical_boxes_share_the_label():
    bboxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]]).repeat(4, 1)
    labels, _ = refinement_targets(bboxes, torch.rand(4, 2), torch.tensor([0.0, 1.0]))
    assert labels.tolist() == [1, 1, 1, 1]


def test_no_class_present_is_zero_and_connected():
    labels, weights = refinement_targets(random_boxes(3), torch.rand(3, 2), torch.zeros(2), 0.0)
    assert labels.tolist() == [2, 2, 2]
    assert weights.tolist() == [0, 0, 0]
    logits = torch.randn(3, 3, requires_grad=True)
    loss = refinement_loss(logits, labels, weights)
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(logits.grad, torch.zeros(3, 3))


def test_targets_carry_no_gradient():
    scores = torch.rand(3, 2, requires_grad=True)
    bboxes = random_boxes(3).requires_grad_()
    labels, weights = refinement_targets(bboxes, scores, torch.ones(2))
    assert not labels.requires_grad
    assert not weights.requires_grad


def test_scores_are_left_as_they_were():
    scores = torch.rand(3, 2)
    before = scores.clone()
    refinement_targets(random_boxes(3), scores, torch.ones(2))
    assert torch.equal(scores, before)


def test_loss_is_eq_16():
    logits = torch.randn(4, 3, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 2])
    weights = torch.tensor([0.5, 0.1, 0.0, 1.0])
    expected = 0.0
    for r in range(4):
        prob = logits[r].exp()[labels[r]] / logits[r].exp().sum()
        expected -= weights[r].item() * prob.log().item() / 4
    assert refinement_loss(logits, labels, weights).item() == pytest.approx(expected)


def test_loss_of_a_batch_is_the_mean_of_its_singles():
    counts = [4, 1]
    valid = torch.arange(4) < torch.tensor(counts)[:, None]
    logits, weights = torch.randn(2, 4, 3), torch.rand(2, 4)
    labels = torch.randint(0, 3, (2, 4))
    singles = [
        refinement_loss(logits[n, :k], labels[n, :k], weights[n, :k]) for n, k in enumerate(counts)
    ]
    batch = refinement_loss(logits, labels, weights, valid=valid)
    torch.testing.assert_close(batch, sum(singles) / 2)


def test_loss_without_regions():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = refinement_loss(logits, torch.zeros(0, dtype=torch.long), torch.zeros(0))
    assert loss.item() == 0
    assert loss.requires_grad


def test_loss_gradcheck_and_autocast():
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    labels, weights = torch.tensor([0, 1, 2, 2]), torch.rand(4)
    assert torch.autograd.gradcheck(lambda x: refinement_loss(x, labels, weights), logits)
    with torch.autocast('cpu', torch.bfloat16):
        assert refinement_loss(logits.bfloat16(), labels, weights).dtype == torch.float32


def test_bad_input():
    with pytest.raises(ValueError, match='fg_iou: expected a number in'):
        refinement_targets(random_boxes(2), torch.rand(2, 2), torch.ones(2), fg_iou=1.5)
    with pytest.raises(ValueError, match='at least C = 3'):
        refinement_targets(random_boxes(2), torch.rand(2, 2), torch.ones(3))
    with pytest.raises(ValueError, match='labels and weights: expected the shape'):
        refinement_loss(torch.zeros(2, 3), torch.zeros(1, dtype=torch.long), torch.zeros(2))


def test_regions_far_from_every_seed_are_ignored():
    x = torch.tensor([0.0, 4.0, 8.0, 9.5, 40.0])
    bboxes = torch.stack([x, x * 0, x + 10, x * 0 + 10], dim=1)  # IoU with the first: 1 to 0
    scores = torch.tensor([[0.8], [0.1], [0.1], [0.1], [0.1]])
    labels, weights = refinement_targets(bboxes, scores, torch.ones(1), ignore_iou=0.1)
    assert labels.tolist() == [0, 1, 1, 1, 1]
    torch.testing.assert_close(weights, torch.tensor([0.8, 0.8, 0.8, 0.0, 0.0]))
    assert [iou(box, bboxes[0].tolist()) >= 0.1 for box in bboxes.tolist()] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_region_outside_the_image_is_no_harm():
    bboxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [-99.0, -99.0, -90.0, -90.0]])
    labels, weights = refinement_targets(bboxes, torch.tensor([[0.5], [0.2]]), torch.ones(1))
    assert labels.tolist() == [0, 1]
    assert torch.isfinite(weights).all()


def seeds_of(bboxes, labels, scores):
    return Seeds(
        torch.tensor([bboxes]),
        torch.tensor([labels]),
        torch.tensor([scores]),
        torch.ones(1, len(labels), dtype=torch.bool),
    )


def test_match_gives_each_region_its_seed():
    seeds = seeds_of([[0.0, 0, 10, 10], [20.0, 0, 30, 10]], [1, 0], [1.0, 0.4])
    regions = torch.tensor([[[1.0, 0, 11, 10], [19.0, 0, 29, 10], [8.0, 0, 18, 10]]])
    match = match_seeds(regions, seeds, num_classes=2)
    assert match.labels.tolist() == [[1, 0, 2]]
    torch.testing.assert_close(match.weights, torch.tensor([[1.0, 0.4, 1.0]]))
    assert match.bboxes[0, :2].tolist() == seeds.bboxes[0].tolist()


def test_seeds_in_doubt_equal_brute_force():
    """They take what is background otherwise, and weigh nothing else."""
    num_classes, fg_iou = 3, 0.5
    corners = torch.rand(2, 40, 2) * 40
    regions = torch.cat([corners, corners + 8 + torch.rand(2, 40, 2) * 8], dim=-1)
    seeds = Seeds(
        regions[:, :9] + torch.randn(2, 9, 4),
        torch.randint(0, num_classes, (2, 9)),
        torch.rand(2, 9),
        torch.arange(9).expand(2, 9) < torch.tensor([[9], [7]]),
        torch.tensor([1.0, 0.3, 1.0, 0.6, 0.9, 1.0, 0.1, 1.0, 0.5]).expand(2, 9),
    )
    match = match_seeds(regions, seeds, num_classes, fg_iou)
    taken = 0
    for n in range(2):
        for r in range(40):
            overlap = [iou(regions[n, r].tolist(), box) for box in seeds.bboxes[n].tolist()]
            own = [s for s in range(9) if seeds.valid[n, s]]
            sure = max((s for s in own if seeds.probs[n, s] == 1), key=lambda s: overlap[s])
            maybe = max((s for s in own if seeds.probs[n, s] < 1), key=lambda s: overlap[s])
            label, weight, prob = num_classes, seeds.scores[n, sure], 1.0
            if overlap[sure] >= fg_iou:
                label = seeds.labels[n, sure].item()
            elif overlap[maybe] >= fg_iou:
                label, weight = seeds.labels[n, maybe].item(), seeds.scores[n, maybe]
                prob = seeds.probs[n, maybe].item()
                taken += 1
            assert match.labels[n, r] == label
            assert match.weights[n, r] == weight
            assert match.probs[n, r].item() == pytest.approx(prob)
    assert taken > 5
    torch.testing.assert_close(match.expected_weights, match.weights * match.probs)
    # with no sure seed there is no background to learn
    alone = match_seeds(regions, seeds._replace(probs=torch.full((2, 9), 0.5)), num_classes)
    assert (alone.weights[alone.labels == num_classes] == 0).all()
    assert (alone.probs[alone.labels < num_classes] == 0.5).all()


def test_expected_loss_equals_brute_force():
    logits = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    labels, weights, probs = torch.randint(0, 4, (2, 5)), torch.rand(2, 5), torch.rand(2, 5)
    probs[0, :2] = torch.tensor([0.0, 1.0])
    expected = 0.0
    for n in range(2):
        for r in range(5):
            log = logits[n, r].log_softmax(0)
            p = probs[n, r].item()
            own = p * log[labels[n, r]].item() + (1 - p) * log[3].item()
            expected -= weights[n, r].item() * own / 10
    loss = refinement_loss(logits, labels, weights, probs=probs)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert torch.autograd.gradcheck(
        lambda x: refinement_loss(x, labels, weights, probs=probs), logits
    )
    sure = refinement_loss(logits, labels, weights, probs=torch.ones(2, 5))
    torch.testing.assert_close(sure, refinement_loss(logits, labels, weights))
    with torch.autocast('cpu', torch.bfloat16):
        half = refinement_loss(logits.bfloat16(), labels, weights, probs=probs)
        assert half.dtype == torch.float32


def test_at_equal_iou_the_first_seed_counts():
    seeds = seeds_of([[0.0, 0, 10, 10]] * 2, [1, 0], [0.9, 0.3])
    match = match_seeds(torch.tensor([[[0.0, 0, 10, 10]]]), seeds, num_classes=2)
    assert match.labels.item() == 1
    assert match.weights.item() == pytest.approx(0.9)


@pytest.mark.parametrize('per_class', [False, True])
def test_box_loss_equals_brute_force(per_class):
    num_classes, labels = 3, torch.tensor([0, 3, 2, 1])
    deltas = torch.randn(4, 12 if per_class else 4, dtype=torch.float64) * 2
    targets, weights = torch.randn(4, 4), torch.tensor([1.0, 0.0, 0.5, 0.3])
    expected = 0.0
    for r, label in enumerate(labels.tolist()):
        if label == num_classes:
            continue
        own = deltas[r, 4 * label : 4 * label + 4] if per_class else deltas[r]
        for t, target in zip(own.tolist(), targets[r].tolist(), strict=True):
            error = abs(t - target)
            expected += weights[r].item() * (error**2 / 2 if error < 1 else error - 0.5) / 4
    loss = box_refinement_loss(deltas, targets, labels, weights)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_box_loss_gradcheck_batch_and_background():
    counts = [3, 1]
    valid = torch.arange(3) < torch.tensor(counts)[:, None]
    deltas = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    targets, labels = torch.randn(2, 3, 4), torch.randint(0, 2, (2, 3))
    weights = torch.rand(2, 3)
    singles = [
        box_refinement_loss(deltas[n, :k], targets[n, :k], labels[n, :k], weights[n, :k])
        for n, k in enumerate(counts)
    ]
    batch = box_refinement_loss(deltas, targets, labels, weights, valid)
    torch.testing.assert_close(batch, sum(singles) / 2)
    assert torch.autograd.gradcheck(
        lambda x: box_refinement_loss(x, targets, labels, weights, valid), deltas
    )
    nothing = box_refinement_loss(deltas, targets, labels, weights * 0)
    assert nothing.item() == 0
    assert nothing.requires_grad
    with torch.autocast('cpu', torch.bfloat16):
        assert box_refinement_loss(deltas.bfloat16(), targets, labels, weights).dtype == (
            torch.float32
        )
