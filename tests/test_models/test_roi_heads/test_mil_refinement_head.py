import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import (
    image_level_loss,
    mil_scores,
    refinement_loss,
    refinement_targets,
)
from tests.test_models.helpers import CHANNELS, NUM_CLASSES, feats


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


@pytest.mark.parametrize('counts', [(5, 2), (0, 3), (1, 1), (7, 0)])
def test_batch_is_the_mean_of_its_singles(counts):
    """Regions of different images never meet, in value and in gradient."""
    head = build()
    x = feats(2)
    regions = [boxes(n) for n in counts]
    y = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    batch = head.loss(x, regions, y)
    total(batch).backward()
    grads = [p.grad.clone() for p in head.parameters()]
    head.zero_grad()
    singles = [
        head.loss([f[n : n + 1] for f in x], regions[n : n + 1], y[n : n + 1]) for n in range(2)
    ]
    (sum(total(single) for single in singles) / 2).backward()
    for key, value in batch.items():
        torch.testing.assert_close(value, (singles[0][key] + singles[1][key]) / 2)
    for grad, p in zip(grads, head.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=1e-5, atol=1e-6)


def test_loss_is_eq_15_and_16_chained():
    """Stage 1 learns from the MIL scores, stage 2 from stage 1."""
    head = build(mil_loss_weight=2.0, refine_loss_weight=3.0)
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


@pytest.mark.parametrize('counts', [(0, 0), (0, 2)])
def test_no_region_is_finite_and_connected(counts):
    head = build()
    losses = head.loss(feats(2), [boxes(n) for n in counts], torch.ones(2, NUM_CLASSES))
    assert all(torch.isfinite(v) for v in losses.values())
    total(losses).backward()
    assert all(p.grad is not None for p in head.parameters())
    if not any(counts):
        assert total(losses).item() == 0


def test_no_class_in_the_image():
    head = build()
    losses = head.loss(feats(1), [boxes(4)], torch.zeros(1, NUM_CLASSES))
    assert losses['loss_mil'] > 0  # a negative bag: no region shows any class
    assert losses['loss_refine_1'].item() == 0
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


def test_autocast():
    head = build()
    x = tuple(f.bfloat16() for f in feats(1))
    with torch.autocast('cpu', torch.bfloat16):
        losses = head.loss(x, [boxes(5)], torch.ones(1, NUM_CLASSES))
    assert all(v.dtype == torch.float32 and torch.isfinite(v) for v in losses.values())


def test_channels_last_maps_give_the_same():
    """As training with --amp on a CPU has them; mmcv's RoIAlign would misread them."""
    head = build()
    regions, y = [boxes(5), boxes(3)], torch.ones(2, NUM_CLASSES)
    x = [f.requires_grad_() for f in feats(2)]
    last = [
        f.detach().to(memory_format=torch.channels_last).clone().requires_grad_() for f in x
    ]
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
    probs = head.predict(x, regions)
    assert [p.shape for p in probs] == [(4, 4), (0, 4), (2, 4)]
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
    torch.testing.assert_close(head.predict(x, regions), other.predict(x, regions))


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(num_classes=None), 'mil_head.num_classes: expected .* found None'),
        (dict(num_stages=0), 'mil_head.num_stages: expected >= 1, found 0'),
        (dict(fg_iou=2), 'mil_head.fg_iou: .* found 2'),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build(**kwargs)


def test_bad_labels():
    with pytest.raises(ValueError, match=r'\(N, C\) = \(1, 3\), got \(3,\)'):
        build().loss(feats(1), [boxes(2)], torch.ones(3))
