"""WSOD2's head, refinement distillation and Boosted OICR, against the plain head's loops."""

import math

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import (
    mil_scores,
    refinement_loss,
    refinement_targets,
    regression_references,
)
from ldwsccd_mmdet.models.task_modules import ThresholdSeeds
from tests.test_models.helpers import CHANNELS, NUM_CLASSES, feats

TYPES = ['WSOD2RefinementHead', 'RefinementDistillationHead', 'BoostedOICRHead']
PLAIN = DetDataPreprocessor(mean=[0, 0, 0], std=[1, 1, 1], bgr_to_rgb=True)
METAS = [dict(img_shape=(64, 64))] * 2


@pytest.fixture
def progress():
    """``progress(n, N)`` is what a runner says of the training."""
    hub = MessageHub.get_current_instance()
    before = {key: hub.get_info(key, None) for key in ('iter', 'max_iters')}

    def say(iteration, last):
        hub.update_info('iter', iteration)
        hub.update_info('max_iters', last)

    say(50, 100)
    yield say
    for key, value in before.items():
        hub.update_info(key, 0 if value is None else value)


def build(kind, **kwargs):
    cfg = dict(
        type=kind,
        num_classes=NUM_CLASSES,
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            out_channels=CHANNELS[0],
            featmap_strides=[8],
        ),
        num_stages=2,
        fc_out_channels=16,
        dropout=0.0,
    )
    cfg.update(kwargs)
    head = MODELS.build(cfg)
    head.init_weights()
    return head


def boxes(n):
    corner = torch.rand(n, 2) * 40
    return torch.cat([corner, corner + 8 + torch.rand(n, 2) * 16], dim=1)


def loss_of(head, x, regions, labels, known=None):
    pictures = torch.rand(len(regions), 3, 64, 64) * 255
    return head.loss(x, regions, labels, known, head.see(pictures, METAS, PLAIN))


def total(losses):
    return sum(losses.values())


@pytest.mark.parametrize('kind', TYPES)
@pytest.mark.parametrize('counts', [(5, 3), (1, 1), (0, 4), (0, 0)])
def test_losses_are_finite_and_reach_all_weights(kind, counts, progress):
    head = build(kind)
    losses = loss_of(head, feats(2), [boxes(n) for n in counts], torch.ones(2, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in head.parameters())
    assert any(counts) or total(losses).item() == 0


@pytest.mark.parametrize('kind', TYPES)
def test_no_class_in_the_image(kind, progress):
    losses = loss_of(build(kind), feats(1), [boxes(4)], torch.zeros(1, NUM_CLASSES))
    assert losses.pop('loss_mil') > 0
    assert total(losses).item() == 0 and total(losses).requires_grad


@pytest.mark.parametrize('kind', TYPES)
def test_one_by_one_map(kind, progress):
    losses = loss_of(build(kind), [torch.randn(1, 8, 1, 1)], [boxes(5)], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())


@pytest.mark.parametrize('kind', TYPES)
def test_state_dict_round_trip(kind):
    head, other = build(kind).eval(), build(kind).eval()
    other.load_state_dict(head.state_dict())
    x, regions = feats(1), [boxes(4)]
    a, b = (h.predict(x, regions, METAS[:1])[0] for h in (head, other))
    torch.testing.assert_close(a.class_probs, b.class_probs)
    torch.testing.assert_close(a.bboxes, b.bboxes)


@pytest.mark.parametrize('kind', TYPES)
def test_targets_carry_no_gradient(kind, progress):
    head, regions = build(kind), [boxes(6).requires_grad_()]
    losses = loss_of(head, feats(1), regions, torch.ones(1, NUM_CLASSES))
    last = f'loss_refine_{head.num_classifiers}'
    losses[last].backward(retain_graph=True)
    assert head.fc_refine[-1].weight.grad.abs().sum() > 0
    assert all(fc.weight.grad is None for fc in (head.fc_cls, head.fc_det, head.fc_refine[0]))
    total(losses).backward()
    assert regions[0].grad is None


def test_the_distilled_stage_learns_from_the_mean():
    head = build('RefinementDistillationHead', num_stages=3)
    x, regions, y = feats(1), [boxes(7)], torch.tensor([[1.0, 0.0, 1.0]])
    losses = loss_of(head, x, regions, y)
    assert set(losses) == {'loss_mil', *(f'loss_refine_{k}' for k in (1, 2, 3, 4))}
    logits = head(x, regions)
    probs = [stage.softmax(-1) for stage in logits.refine_logits]
    mean = torch.zeros_like(probs[0])
    for r in range(7):
        for c in range(NUM_CLASSES + 1):
            mean[r, c] = sum(probs[k][r, c] for k in range(3)) / 3
    targets = refinement_targets(regions[0], mean, y[0])
    expected = refinement_loss(logits.refine_logits[3], *targets)
    torch.testing.assert_close(losses['loss_refine_4'], expected)
    # the stages before are those of the plain head
    plain = build('MILRefinementHead', num_stages=3)
    plain.load_state_dict(head.state_dict(), strict=False)
    for name, value in loss_of(plain, x, regions, y).items():
        torch.testing.assert_close(losses[name], value)
    # and all four score
    scores = head.eval().predict(x, regions, METAS[:1])[0].class_probs
    torch.testing.assert_close(scores, torch.stack(probs).mean(0))


def test_overlaps_of_boosted_oicr(progress):
    head = build('BoostedOICRHead')
    found = []
    for n in (0, 1_000, 25_000, 50_000):
        progress(n, 50_000)
        found.append(head.overlaps)
        # as Zeni and Jung's code has it, whose training is so long
        gt = (math.log(n + 100) - math.log(100)) / (math.log(50_100) - math.log(100)) / 2
        assert found[-1] == pytest.approx((gt, 0.51 - gt))
    assert found[0] == pytest.approx((0, 0.51)) and found[-1] == pytest.approx((0.5, 0.01))


def test_boosted_oicr_gathers_by_its_overlaps(progress):
    """One seed, and regions of IoU 1, 0.6, 0.25 and 0 with it."""
    head = build('BoostedOICRHead', num_stages=1)
    cell = torch.tensor([0.0, 0, 40, 40])
    regions = torch.stack([cell, *(cell + torch.tensor([d, 0, d, 0.0]) for d in (10, 24, 60))])
    known = [InstanceData(bboxes=cell[None], labels=torch.tensor([1]))]
    logits = head(feats(1), [regions])
    for n, labels, weights in (
        (0, [1, 1, 1, 1], [1, 1, 0, 0]),
        (100, [1, 1, 3, 3], [1, 1, 1, 0]),
    ):
        progress(n, 100)
        loss = head.loss_by_feat(logits, [regions], torch.tensor([[0.0, 0, 0]]), known)
        expected = refinement_loss(
            logits.refine_logits[0], torch.tensor(labels), torch.tensor(weights).float()
        )
        torch.testing.assert_close(loss['loss_refine_1'], expected)


def wsod2_by_hand(head, x, regions, y, up, alpha, known=()):
    """Eq. 3 to 8 of WSOD2, region by region; ``up`` is O_bu of each."""
    logits = head(x, [regions])
    scores = mil_scores(logits.cls_logits, logits.det_logits)[0].detach()
    losses = {}
    for stage, own in enumerate(logits.refine_logits):
        labels, seed_scores = refinement_targets(regions, scores, y)
        weights = []
        for r, label in enumerate(labels.tolist()):
            down = seed_scores[r] if label >= scores.shape[1] else scores[r, label]
            weights.append(alpha * up[r] + (1 - alpha) * down)
        weights = torch.stack(weights)
        losses[f'loss_refine_{stage + 1}'] = refinement_loss(own, labels, weights)
        scores = own.detach().softmax(-1)
    positive = labels < NUM_CLASSES
    reference = regression_references(regions[None], weights[None], positive[None])[0]
    targets = head.bbox_coder.encode(regions, reference)
    box = torch.zeros(())
    for r in positive.nonzero().flatten().tolist():
        error = (logits.bbox_deltas[0][r] - targets[r]).abs()
        smooth = torch.where(error < 1, error**2 / 2, error - 0.5).sum()
        box = box + weights[r] * smooth / positive.sum()
    losses[f'loss_refine_box_{len(logits.refine_logits)}'] = 0.3 * box
    return losses


@pytest.mark.parametrize('alpha', [0.0, 0.3, 1.0])
def test_wsod2_equals_a_loop(alpha, progress):
    torch.manual_seed(1)
    progress(round((1 - alpha) * 100), 100)
    head = build('WSOD2RefinementHead', objectness_warmup=0.0)
    assert head.alpha == pytest.approx(alpha)
    torch.nn.init.normal_(head.fc_box[0].weight, std=0.05)
    x, regions, y = feats(1), boxes(9), torch.tensor([1.0, 0.0, 1.0])
    pictures = torch.rand(1, 3, 64, 64) * 255
    logits = head(x, [regions])
    moved = head.bbox_coder.decode(regions, logits.bbox_deltas[0].detach())
    up = head.objectness(pictures, PLAIN)(moved[None])[0]
    still = head.objectness(pictures, PLAIN)(regions[None])[0]
    assert not torch.equal(up, still)  # eq. 8 is not eq. 4
    losses = head.loss(x, [regions], y[None], None, head.see(pictures, METAS, PLAIN))
    for name, value in wsod2_by_hand(head, x, regions, y, up, alpha).items():
        torch.testing.assert_close(losses[name], value)


def test_known_boxes_need_no_evidence(progress):
    """A region of a box that the image has counts in full and moves to that box."""
    head = build('WSOD2RefinementHead', num_stages=1)
    cell = torch.tensor([[10.0, 10, 40, 40]])
    regions, y = torch.cat([cell + 2, cell - 2]), torch.zeros(1, NUM_CLASSES)
    known = [InstanceData(bboxes=cell, labels=torch.tensor([1]))]
    x = feats(1)
    losses = loss_of(head, x, [regions], y, known)
    logits = head(x, [regions])
    expected = refinement_loss(logits.refine_logits[0], torch.tensor([1, 1]), torch.ones(2))
    torch.testing.assert_close(losses['loss_refine_1'], expected)
    error = (logits.bbox_deltas[0] - head.bbox_coder.encode(regions, cell.expand(2, 4))).abs()
    smooth = torch.where(error < 1, error**2 / 2, error - 0.5).sum()
    torch.testing.assert_close(losses['loss_refine_box_1'], 0.3 * smooth / 2)


def test_wsod2_batch_is_the_mean_of_its_singles(progress):
    head = build('WSOD2RefinementHead')
    x, regions, y = feats(2), [boxes(5), boxes(3)], torch.ones(2, NUM_CLASSES)
    pictures = torch.rand(2, 3, 64, 64) * 255
    whole = head.loss(x, regions, y, None, head.see(pictures, METAS, PLAIN))
    singles = [
        head.loss(
            [f[n : n + 1] for f in x],
            regions[n : n + 1],
            y[n : n + 1],
            None,
            head.see(pictures[n : n + 1], METAS, PLAIN),
        )
        for n in range(2)
    ]
    for key, value in whole.items():
        mean = (singles[0][key] + singles[1][key]) / 2
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=1e-5)


def test_wsod2_looks_at_no_picture_while_alpha_is_0(progress, monkeypatch):
    progress(1, 100)
    head = build('WSOD2RefinementHead', objectness_warmup=0.1)
    assert head.alpha == 0
    monkeypatch.setattr(head, 'objectness', None)
    losses = loss_of(head, feats(1), [boxes(4)], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())


def test_wsod2_says_that_it_must_see():
    with pytest.raises(ConfigError, match='call see'):
        build('WSOD2RefinementHead').loss(feats(1), [boxes(2)], torch.ones(1, NUM_CLASSES))


@pytest.mark.parametrize(
    ('kind', 'kwargs', 'message'),
    [
        ('WSOD2RefinementHead', dict(reg_stages=0), 'mil_head.reg_stages: .* found 0'),
        ('WSOD2RefinementHead', dict(objectness_warmup=2), 'objectness_warmup: .* found 2'),
        (
            'RefinementDistillationHead',
            dict(loss_weight=dict(refine=(1, 1))),
            r'loss_weight.refine: .*num_stages \+ 1 = 3',
        ),
    ],
)
def test_bad_settings(kind, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build(kind, **kwargs)


def test_parts_are_the_papers():
    part = Config.fromfile('configs/_base_/parts/mil_wsod2.py').mil_wsod2
    head = build(part.pop('type'), **part)
    assert isinstance(head.choose_seeds, ThresholdSeeds)
    assert (head.choose_seeds.score_thr, head.choose_seeds.nms_iou, head.fg_iou) == (0.7, 0.3, 0.5)
    assert head.loss_weight == dict(mil=1, refine=[1, 1], box=0.3)
    part = Config.fromfile('configs/_base_/parts/mil_boosted_oicr.py').mil_boosted_oicr
    assert build(part.type).num_classifiers == 3
