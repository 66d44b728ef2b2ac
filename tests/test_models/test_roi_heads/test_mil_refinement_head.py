import weakref

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import (
    image_level_loss,
    mil_scores,
    refinement_loss,
    refinement_targets,
)
from ldwsccd_mmdet.models.task_modules import ThresholdSeeds, TopSeeds
from ldwsccd_mmdet.models.utils import pairwise_iou
from ldwsccd_mmdet.ops import is_stand_in
from tests.test_models.helpers import CHANNELS, NUM_CLASSES, feats

METAS = [dict(img_shape=(64, 64))] * 3


def build(**kwargs):
    cfg = dict(
        type='MILRefinementHead',
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
    return torch.cat([corner, corner + 4 + torch.rand(n, 2) * 20], dim=1)


def total(losses):
    return sum(losses.values())


def instances(*images):
    """Boxes that are known: per image a list of (x1, y1, x2, y2, label)."""
    rows = [torch.tensor(image, dtype=torch.float32).view(-1, 5) for image in images]
    return [InstanceData(bboxes=row[:, :4], labels=row[:, 4].long()) for row in rows]


MAX_POOL = dict(
    type='SingleRoIExtractor',
    roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2, pool_mode='max'),
    out_channels=CHANNELS[0],
    featmap_strides=[8],
)
ROI_POOL = dict(MAX_POOL, roi_layer=dict(type='RoIPool', output_size=3))
TWO_LEVELS = dict(
    type='GenericRoIExtractor',
    aggregation='concat',
    roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
    out_channels=CHANNELS[0] + CHANNELS[1],
    featmap_strides=[8, 16],
)
OPTIONS = [
    dict(),
    dict(num_stages=1),
    dict(ignore_iou=0.1, loss_weight=dict(refine=(3.0, 1.0)), image_loss_reduction='sum'),
    dict(seeds=dict(type='ThresholdSeeds', relative_thr=0.5), reg_stages=1),
    dict(seeds=dict(type='MISTSeeds', fraction=0.5), reg_stages=2),
    dict(bbox_roi_extractor=MAX_POOL, gt_seeds=True),
    dict(bbox_roi_extractor=TWO_LEVELS, roi_chunk_size=2),
]


@pytest.mark.parametrize('counts', [(5, 2), (0, 3), (1, 1), (7, 0)])
@pytest.mark.parametrize('options', OPTIONS)
def test_batch_is_the_mean_of_its_singles(counts, options):
    """Regions of different images never meet, in value and in gradient, to 1e-6."""
    head = build(**options)
    x = [f.requires_grad_() for f in feats(2)]
    regions = [boxes(n) for n in counts]
    y = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    known = instances([(4, 4, 24, 24, 0), (30, 10, 60, 50, 2)], [])
    batch = head.loss(x, regions, y, known)
    total(batch).backward()
    inputs = [*head.parameters(), *x[: head.bbox_roi_extractor.num_inputs]]
    grads = [p.grad.clone() for p in inputs]
    for p in inputs:
        p.grad = None
    singles = [
        head.loss([f[n : n + 1] for f in x], regions[n : n + 1], y[n : n + 1], known[n : n + 1])
        for n in range(2)
    ]
    (sum(total(single) for single in singles) / 2).backward()
    for key, value in batch.items():
        expected = (singles[0][key] + singles[1][key]) / 2
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    for grad, p in zip(grads, inputs, strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-6, atol=1e-6)


def test_loss_is_eq_15_and_16_chained():
    """Stage 1 learns from the MIL scores, stage 2 from stage 1."""
    head = build(loss_weight=dict(mil=2.0, refine=3.0))
    x, regions, y = feats(1), [boxes(6)], torch.tensor([[1.0, 0.0, 1.0]])
    losses = head.loss(x, regions, y)
    logits = head(x, regions)
    cls_logits, det_logits, stages = logits.cls_logits, logits.det_logits, logits.refine_logits
    scores, image_scores = mil_scores(cls_logits, det_logits)
    torch.testing.assert_close(losses['loss_mil'], 2 * image_level_loss(image_scores, y[0]))
    for stage, logits in enumerate(stages, start=1):
        targets = refinement_targets(regions[0], scores, y[0])
        torch.testing.assert_close(
            losses[f'loss_refine_{stage}'], 3 * refinement_loss(logits, *targets)
        )
        scores = logits.softmax(-1)
    assert set(losses) == {'loss_mil', 'loss_refine_1', 'loss_refine_2'}


@pytest.mark.parametrize('options', OPTIONS)
@pytest.mark.parametrize('counts', [(0, 0), (0, 2)])
def test_no_region_is_finite_and_connected(counts, options):
    head = build(**options)
    losses = head.loss(feats(2), [boxes(n) for n in counts], torch.ones(2, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()
    assert all(p.grad is not None for p in head.parameters())
    if not any(counts):
        assert total(losses).item() == 0


@pytest.mark.parametrize('options', OPTIONS)
def test_no_class_in_the_image(options):
    head = build(**options)
    losses = head.loss(feats(1), [boxes(4)], torch.zeros(1, NUM_CLASSES))
    assert losses.pop('loss_mil') > 0  # a negative bag: no region shows any class
    assert total(losses).item() == 0
    assert total(losses).requires_grad
    losses['loss_mil'] = head.loss(feats(1), [boxes(4)], torch.zeros(1, NUM_CLASSES))['loss_mil']
    total(losses).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_no_gradient_into_boxes_or_targets():
    head = build()
    regions = boxes(5).requires_grad_()
    total(head.loss(feats(1), [regions], torch.ones(1, NUM_CLASSES))).backward()
    assert regions.grad is None
    # a stage's loss reaches its own layer, not the stage that taught it
    head.zero_grad()
    head.loss(feats(1), [boxes(5)], torch.ones(1, NUM_CLASSES))['loss_refine_2'].backward()
    assert head.fc_refine[1].weight.grad.abs().sum() > 0
    assert head.fc_refine[0].weight.grad is None
    assert head.fc_cls.weight.grad is None


@pytest.mark.parametrize('options', OPTIONS)
def test_autocast(options):
    head = build(**options)
    x = tuple(f.bfloat16() for f in feats(1))
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(x, [boxes(5)], torch.ones(1, NUM_CLASSES))
        head.predict(x, [boxes(5)], METAS[:1])
    assert all(v.dtype == torch.float32 and torch.isfinite(v) for v in losses.values())
    total(losses).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_channels_last_maps_give_the_same():
    """As training with --amp on a CPU has them; mmcv's RoIAlign would misread them."""
    head = build()
    regions, y = [boxes(5), boxes(3)], torch.ones(2, NUM_CLASSES)
    x = [f.requires_grad_() for f in feats(2)]
    last = [f.detach().to(memory_format=torch.channels_last).clone().requires_grad_() for f in x]
    assert not last[0].is_contiguous()
    losses, losses_last = head.loss(x, regions, y), head.loss(last, regions, y)
    for key, value in losses.items():
        torch.testing.assert_close(value, losses_last[key])
    total(losses).backward()
    total(losses_last).backward()
    torch.testing.assert_close(x[0].grad, last[0].grad.contiguous())


@pytest.mark.parametrize('levels', [1, 2])
def test_one_by_one_map_and_several_levels(levels):
    head = build(
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            out_channels=8,
            featmap_strides=[8, 16][:levels],
        )
    )
    x = [torch.randn(1, 8, 1, 1), torch.randn(1, 8, 1, 1)]
    losses = head.loss(x, [boxes(5)], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())


def test_predict_is_the_mean_of_the_stages():
    head = build().eval()
    x, regions = feats(3), [boxes(4), boxes(0), boxes(2)]
    results = head.predict(x, regions, METAS)
    probs = [result.class_probs for result in results]
    assert [p.shape for p in probs] == [(4, 4), (0, 4), (2, 4)]
    assert all(torch.equal(r.bboxes, b) for r, b in zip(results, regions, strict=True))
    stages = head(x, regions).refine_logits
    mean = sum(logits.softmax(-1) for logits in stages) / 2
    torch.testing.assert_close(torch.cat(probs), mean)
    torch.testing.assert_close(mean.sum(-1), torch.ones(6))


def test_regions_outside_the_image():
    head = build()
    outside = torch.tensor([[-50.0, -50.0, -40.0, -40.0], [100.0, 0.0, 120.0, 10.0]])
    losses = head.loss(feats(1), [outside], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())


def test_state_dict_round_trip():
    head, other = build().eval(), build().eval()
    other.load_state_dict(head.state_dict())
    x, regions = feats(1), [boxes(4)]
    torch.testing.assert_close(
        head.predict(x, regions, METAS)[0].class_probs,
        other.predict(x, regions, METAS)[0].class_probs,
    )


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_classes=None), 'mil_head.num_classes: expected .* found None'),
        (dict(num_stages=0), 'mil_head.num_stages: expected >= 1, found 0'),
        (dict(fg_iou=2), 'mil_head.fg_iou: .* found 2'),
        (dict(ignore_iou=-1), 'mil_head.ignore_iou: .* found -1'),
        (dict(loss_weight=dict(mil=-1)), 'mil_head.loss_weight.mil: expected >= 0, found -1'),
        (dict(loss_weight=dict(refine=(1,))), 'loss_weight.refine: .* num_stages = 2, found'),
        (dict(loss_weight=dict(cls=1)), "mil_head.loss_weight: .*mil, refine, box.*'cls'"),
        (dict(image_loss_reduction='max'), "image_loss_reduction: .* found 'max'"),
        (dict(reg_stages=3), r'mil_head.reg_stages: .*num_stages = 2\], found 3'),
        (dict(roi_chunk_size=0), 'mil_head.roi_chunk_size: .* found 0'),
        # as earlier versions had it
        (dict(preset='oicr'), 'mil_head.preset is no argument any more: take the dict mil_oicr'),
        (dict(mil_loss_weight=2.0), r'mil_loss_weight .* write loss_weight=dict\(mil=...\)'),
        (dict(refine_loss_weight=2.0), r'write loss_weight=dict\(refine=...\)'),
        (dict(first_stage_weight=3.0), r'write loss_weight=dict\(refine=\(..., 1, 1\)\)'),
        (dict(pseudo_seeds=None), 'mil_head.pseudo_seeds .* leave it out'),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build(**kwargs)


def test_bad_labels():
    with pytest.raises(ValueError, match=r'\(N, C\) = \(1, 3\), got \(3,\)'):
        build().loss(feats(1), [boxes(2)], torch.ones(3))


def test_in_double_the_gradient_is_the_difference_quotient():
    """All of the head at once: both losses and the boxes', through the RoI layer."""
    head = build(reg_stages=1, fc_out_channels=4).double()
    x = torch.randn(2, CHANNELS[0], 8, 8, dtype=torch.float64, requires_grad=True)
    regions = [boxes(3).double(), boxes(2).double()]
    y = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    known = instances([(4, 4, 24, 24, 0)], [])
    weight = head.fc_cls.weight
    loss = total(head.loss([x], regions, y, known))
    assert loss.dtype == torch.float64
    # the stages' targets are constants of the gradient: eq. 15 alone has none
    mil = head.loss([x], regions, y, known)['loss_mil']
    grad = torch.autograd.grad(mil, weight)[0]
    step = 1e-6
    with torch.no_grad():
        for place in ((0, 1), (2, 3)):
            values = []
            for sign in (1, -1):
                weight[place] += sign * step
                values.append(head.loss([x], regions, y, known)['loss_mil'].item())
                weight[place] -= sign * step
            assert grad[place].item() == pytest.approx((values[0] - values[1]) / 2 / step, abs=1e-7)


@pytest.mark.skipif(is_stand_in(), reason='the operators in plain torch have RoIPool on a CPU')
def test_roi_pool_on_a_cpu_says_what_to_take():
    with pytest.raises(ConfigError, match="RoIPool of mmcv needs a GPU.*pool_mode='max'"):
        build(bbox_roi_extractor=ROI_POOL).predict(feats(1), [boxes(2)], METAS[:1])


@pytest.mark.skipif(not is_stand_in(), reason='RoIPool of mmcv needs a GPU')
def test_roi_pool_in_plain_torch():
    head = build(bbox_roi_extractor=ROI_POOL)
    losses = head.loss(feats(1), [boxes(5)], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='RoIPool of mmcv needs a GPU')
def test_roi_pool_on_a_gpu():
    head = build(bbox_roi_extractor=ROI_POOL).cuda()
    x = [f.cuda() for f in feats(1)]
    losses = head.loss(x, [boxes(5).cuda()], torch.ones(1, NUM_CLASSES).cuda())
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()


@pytest.mark.parametrize('chunk', [1, 3, 4, 100])
def test_chunks_give_the_same_value_and_gradient(chunk):
    whole, parts = build(roi_chunk_size=None), build(roi_chunk_size=chunk)
    parts.load_state_dict(whole.state_dict())
    regions, y = [boxes(5), boxes(0), boxes(6)], torch.ones(3, NUM_CLASSES)
    data, results = feats(3), []
    for head in (whole, parts):
        x = [f.clone().requires_grad_() for f in data]
        losses = head.loss(x, regions, y)
        total(losses).backward()
        results.append((losses, x[0].grad, [p.grad for p in head.parameters()]))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        whole.predict(data, regions, METAS)[0].class_probs,
        parts.predict(data, regions, METAS)[0].class_probs,
    )


def test_chunks_keep_few_pooled_features(monkeypatch):
    """The pooled features of at most one chunk are alive at a time, also in training."""
    head = build(roi_chunk_size=4)
    sizes = []
    pool = head.bbox_roi_extractor.forward
    monkeypatch.setattr(
        head.bbox_roi_extractor,
        'forward',
        lambda x, rois: (sizes.append(len(rois)), pool(x, rois))[1],
    )
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: (saved.append(t), t)[1], lambda t: t)
    with hooks:
        losses = head.loss(feats(1), [boxes(10)], torch.ones(1, NUM_CLASSES))
    assert sizes == [4, 4, 2]
    pooled_width = CHANNELS[0] * 9
    assert not [
        t.shape for t in saved if t.dim() == 2 and t.shape[1] == pooled_width and len(t) != 16
    ]
    total(losses).backward()
    assert sorted(sizes) == sorted([4, 4, 2] * 2)  # once more for the gradient


def test_memory_of_a_region_is_that_of_its_logits(monkeypatch):
    """More regions than a chunk holds add no pooled features, in forward and in backward."""
    pooled_bytes = 4 * CHANNELS[0] * 9

    def run(n: int, chunk: int | None) -> tuple[int, int]:
        """Bytes saved for backward, and most pooled features alive when a chunk is pooled."""
        head = build(roi_chunk_size=chunk)
        pool, pooled, most, saved, kept = head.bbox_roi_extractor.forward, [], [0], {}, []

        def count(x, rois):
            out = pool(x, rois)
            pooled.append(weakref.ref(out))
            alive = [ref() for ref in pooled]
            most[0] = max(most[0], sum(len(tensor) for tensor in alive if tensor is not None))
            return out

        def save(tensor):
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)  # lest its memory is given to the next
            return tensor

        monkeypatch.setattr(head.bbox_roi_extractor, 'forward', count)
        with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            losses = head.loss(feats(1), [boxes(n)], torch.ones(1, NUM_CLASSES))
        kept.clear()
        total(losses).backward()
        return sum(saved.values()), most[0]

    per_region = {}
    for chunk in (None, 8):
        (few, few_alive), (many, many_alive) = run(16, chunk), run(64, chunk)
        per_region[chunk] = (many - few) / (64 - 16)
        assert (few_alive, many_alive) == ((16, 64) if chunk is None else (8, 8))
    assert per_region[None] - per_region[8] > pooled_bytes


def test_chunks_and_dropout_see_one_mask(monkeypatch):
    """The recomputed forward pass drops what the first one dropped."""
    from ldwsccd_mmdet.models.roi_heads import mil_refinement_head as module

    head = build(roi_chunk_size=2, dropout=0.5)
    x, regions, grads = feats(1), [boxes(6)], []
    for recompute in (True, False):
        if not recompute:
            monkeypatch.setattr(module, 'checkpoint', lambda f, *args, use_reentrant: f(*args))
        torch.manual_seed(3)
        head.zero_grad()
        total(head.loss(x, regions, torch.ones(1, NUM_CLASSES))).backward()
        grads.append([p.grad.clone() for p in head.parameters()])
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_known_boxes_are_seeds_of_weight_1():
    """Of two cells of a class top-1 finds one; boxes teach both."""
    head = build(num_stages=1, gt_seeds=True)
    cells = torch.tensor([[0.0, 0, 20, 20], [40.0, 40, 60, 60], [0.0, 40, 20, 60]])
    known = instances([(0, 0, 20, 20, 1), (41, 40, 61, 60, 1)])
    x, y = feats(1), torch.tensor([[0.0, 1.0, 0.0]])
    logits = head(x, [cells])
    loss = head.loss_by_feat(logits, [cells], y, known)['loss_refine_1']
    mined, image = mil_scores(logits.cls_logits, logits.det_logits)
    # a mined seed on a known cell is no seed; one beside them is
    top = int(mined[:, 1].argmax())
    labels = torch.tensor([1, 1, 1 if top == 2 else 3])
    weights = torch.tensor([1.0, 1.0, mined[2, 1].item() if top == 2 else 1.0])
    expected = refinement_loss(logits.refine_logits[0], labels, weights)
    torch.testing.assert_close(loss, expected)
    without = build(num_stages=1, gt_seeds=False)
    without.load_state_dict(head.state_dict())
    blind = without.loss(x, [cells], y, known)['loss_refine_1']
    targets = refinement_targets(cells, mined, y[0])
    torch.testing.assert_close(blind, refinement_loss(logits.refine_logits[0], *targets))


def test_boxes_in_doubt_teach_by_their_expected_loss():
    head = build(num_stages=1, reg_stages=1)
    cells = torch.tensor([[0.0, 0, 20, 20], [40.0, 40, 60, 60], [0.0, 40, 20, 60]])
    known = instances([(0, 0, 20, 20, 1), (41, 40, 61, 60, 0), (1, 40, 21, 60, 1)])
    known[0].probs = torch.tensor([1.0, 0.3, 0.8])
    x, y = feats(1), torch.tensor([[0.3, 1.0, 0.0]])
    logits = head(x, [cells])
    losses = head.loss_by_feat(logits, [cells], y, known)
    log = logits.refine_logits[0].log_softmax(-1)
    taught = [log[0, 1], 0.3 * log[1, 0] + 0.7 * log[1, 3], 0.8 * log[2, 1] + 0.2 * log[2, 3]]
    torch.testing.assert_close(losses['loss_refine_1'], -torch.stack(taught).mean())
    # a box is there with the probability that the cell is
    moves = head.bbox_coder.encode(cells, known[0].bboxes)
    errors = torch.nn.functional.smooth_l1_loss(logits.bbox_deltas[0], moves, reduction='none')
    expected = (errors.sum(dim=1) * known[0].probs).mean()
    torch.testing.assert_close(losses['loss_refine_box_1'], expected)


def test_weights_of_the_losses():
    head = build(loss_weight=dict(mil=2.0))
    other = build(
        image_loss_reduction='sum',
        reg_stages=1,
        loss_weight=dict(refine=(1.5, 0.5), box=4.0),
    )
    other.load_state_dict(head.state_dict(), strict=False)
    x, regions, y = feats(1), [boxes(6)], torch.tensor([[1.0, 0.0, 1.0]])
    a, b = head.loss(x, regions, y), other.loss(x, regions, y)
    torch.testing.assert_close(b['loss_mil'], a['loss_mil'] / 2 * NUM_CLASSES)
    torch.testing.assert_close(b['loss_refine_1'], a['loss_refine_1'] * 1.5)
    torch.testing.assert_close(b['loss_refine_2'], a['loss_refine_2'] / 2)
    once = build(reg_stages=1)
    once.load_state_dict(other.state_dict())
    torch.testing.assert_close(
        b['loss_refine_box_2'], once.loss(x, regions, y)['loss_refine_box_2'] * 4
    )


def test_boxes_learn_to_move_to_their_seed():
    """A head that is trained on shifted regions moves them onto the cell."""
    head = build(
        num_stages=1,
        reg_stages=1,
        fc_out_channels=32,
        gt_seeds=True,
    )
    x, cell = feats(1), torch.tensor([[20.0, 20.0, 44.0, 44.0]])
    regions = [torch.cat([cell, cell + 4, cell - 4])]
    y, known = torch.tensor([[0.0, 1.0, 0.0]]), instances([(20, 20, 44, 44, 1)])
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        total(head.loss(x, regions, y, known)).backward()
        optimizer.step()
    result = head.eval().predict(x, regions, METAS[:1])[0]
    torch.testing.assert_close(result.bboxes, cell.expand(3, 4), rtol=0, atol=1.0)
    assert (result.class_probs.argmax(dim=1) == 1).all()


def test_moved_boxes_stay_in_the_image():
    head = build(reg_stages=2)
    with torch.no_grad():
        for fc in head.fc_box:
            fc.bias += 20
    result = head.predict(feats(1), [boxes(4)], [dict(img_shape=(40, 64))])[0]
    assert result.bboxes[:, [0, 2]].max() <= 64
    assert result.bboxes[:, [1, 3]].max() <= 40


def test_regions_without_a_size_move_nothing():
    head = build(reg_stages=1, fg_iou=0.0)
    flat = torch.tensor([[5.0, 5.0, 5.0, 20.0], [10.0, 10.0, 30.0, 30.0]])
    losses = head.loss(feats(1), [flat], torch.ones(1, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


@pytest.mark.parametrize('options', OPTIONS)
def test_gradient_reaches_logits_only(options):
    """Not seeds, labels, weights or boxes, whoever gives them."""
    head = build(**options)
    regions = [boxes(6).requires_grad_()]
    known = instances([(4, 4, 24, 24, 0)])
    known[0].bboxes.requires_grad_()
    x = feats(1)
    logits = head(x, regions)
    losses = head.loss_by_feat(logits, regions, torch.ones(1, NUM_CLASSES), known)
    stage = losses[f'loss_refine_{head.num_stages}']
    sources = [logits.cls_logits, logits.det_logits, *logits.refine_logits[:-1]]
    grads = torch.autograd.grad(stage, sources, allow_unused=True, retain_graph=True)
    assert all(grad is None or not grad.any() for grad in grads)
    total(losses).backward()
    assert regions[0].grad is None
    assert known[0].bboxes.grad is None
    pseudo = head.pseudo_boxes(logits, regions, torch.ones(1, NUM_CLASSES))[0]
    assert not pseudo.bboxes.requires_grad
    assert not pseudo.scores.requires_grad


def test_pseudo_boxes():
    """Of the image's classes only, suppressed and thresholded class by class."""
    head = build()
    head.choose_pseudo_boxes = ThresholdSeeds(relative_thr=0.6, nms_iou=0.3)
    regions, x = [boxes(30), boxes(0), boxes(20)], feats(3, scale=10)
    y = torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    logits = head(x, regions)
    found = head.pseudo_boxes(logits, regions, y)
    assert [len(instances) > 0 for instances in found] == [True, False, False]
    probs = logits.mean_probs[:30]
    assert set(found[0].labels.tolist()) == {0, 2}
    for box, label, score in zip(found[0].bboxes, found[0].labels, found[0].scores, strict=True):
        region = int((regions[0] == box).all(dim=1).nonzero()[0])
        assert probs[region, label] == score
    for label in (0, 2):
        scores = found[0].scores[found[0].labels == label]
        assert scores.min() >= 0.6 * scores.max()
        own = found[0].bboxes[found[0].labels == label]
        iou = pairwise_iou(own[None], own[None])[0] - torch.eye(len(own))
        assert iou.max() <= 0.3 + 1e-6


def test_pseudo_boxes_have_a_size():
    head = build()
    flat = torch.tensor([[5.0, 5.0, 5.0, 20.0], [64.0, 0.0, 64.0, 9.0], [10.0, 10.0, 30.0, 30.0]])
    regions, y = [flat, flat[:2]], torch.ones(2, NUM_CLASSES)
    found = head.pseudo_boxes(head(feats(2), regions), regions, y)
    assert found[0].bboxes.unique(dim=0).tolist() == [[10, 10, 30, 30]]
    assert len(found[1]) == 0


def test_oicr_as_published():
    roi_extractor = dict(
        type='SingleRoIExtractor',
        roi_layer=dict(type='RoIAlign', output_size=1),
        out_channels=8,
        featmap_strides=[8],
    )
    part = Config.fromfile('configs/_base_/parts/mil_oicr.py').mil_oicr
    head = MODELS.build(dict(part, num_classes=NUM_CLASSES, bbox_roi_extractor=roi_extractor))
    assert (head.num_stages, head.fg_iou, head.ignore_iou) == (3, 0.5, 0)
    assert head.shared_fcs[1].out_features == head.shared_fcs[4].out_features == 4096
    assert head.shared_fcs[3].p == 0.5
    assert isinstance(head.choose_seeds, TopSeeds)
    assert not head.gt_seeds
    assert head.image_loss_reduction == 'sum'
    assert head.loss_weight == dict(mil=1, refine=[1, 1, 1], box=1)


def test_config_part_of_oicr_lets_the_new_layers_learn_faster():
    """``paramwise_cfg`` finds the streams and stages by their names in the detector."""
    cfg = Config.fromfile('configs/_base_/parts/mil_oicr.py')
    roi_layer = cfg.mil_oicr.bbox_roi_extractor.roi_layer
    assert (roi_layer.type, roi_layer.output_size) == ('RoIPool', 7)
    model = torch.nn.Module()
    model.mil_head = build(fc_out_channels=4, reg_stages=1)
    wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01), **cfg.oicr_rates)
    )
    names = {id(p): name for name, p in model.named_parameters()}
    faster = {
        names[id(p)].split('.')[1]
        for group in wrapper.optimizer.param_groups
        for p in group['params']
        if group['lr'] == pytest.approx(0.1)
    }
    assert faster == {'fc_cls', 'fc_det', 'fc_refine', 'fc_box'}
