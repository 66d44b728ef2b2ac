import pytest
import torch
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from ldwsccd_mmdet.errors import ConfigError
from tests.test_models.helpers import (
    NUM_CLASSES,
    PROPOSAL,
    feats,
    head_cfg,
    predict_cfg,
    sample,
    samples,
    train_cfg,
)


def build(**kwargs):
    cfg = head_cfg(train_cfg=ConfigDict(train_cfg()), test_cfg=ConfigDict(predict_cfg()), **kwargs)
    return MODELS.build(cfg)


def stock_head():
    cfg = head_cfg(train_cfg=ConfigDict(train_cfg()), test_cfg=ConfigDict(predict_cfg()))
    return MODELS.build(dict(cfg, type='SSDHead'))


@pytest.mark.parametrize(
    'batch', [samples(), samples()[:1], samples()[2:], [sample([[0, 0, 64, 64]], [1])]]
)
@pytest.mark.parametrize('reg_decoded_bbox', [False, True])
def test_loss_equals_mmdets_loop_over_images(batch, reg_decoded_bbox):
    ours, theirs = build(reg_decoded_bbox=reg_decoded_bbox), stock_head()
    theirs.reg_decoded_bbox = reg_decoded_bbox
    theirs.load_state_dict(ours.state_dict())
    x = feats(len(batch))
    ours_loss, theirs_loss = ours.loss(x, batch), theirs.loss(x, batch)
    assert ours_loss['loss_cls'].item() == pytest.approx(sum(theirs_loss['loss_cls']).item())
    assert ours_loss['loss_bbox'].item() == pytest.approx(
        sum(theirs_loss['loss_bbox']).item(), rel=1e-4, abs=1e-6
    )
    grads = []
    for head, loss in ((ours, ours_loss), (theirs, theirs_loss)):
        sum(sum(v) if isinstance(v, list) else v for v in loss.values()).backward()
        grads.append(torch.cat([p.grad.flatten() for p in head.parameters()]))
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-3, atol=1e-5)


def test_no_matched_prior_is_zero_and_connected():
    head = build()
    loss = head.loss(feats(2), [sample([], []), sample([], [])])
    assert loss['loss_cls'].item() == 0
    assert loss['loss_bbox'].item() == 0
    sum(loss.values()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_one_by_one_maps():
    head = build()
    loss = head.loss(feats(3, (1, 1, 1)), samples())
    assert all(torch.isfinite(v) for v in loss.values())


def test_autocast_loss_is_float32():
    head = build()
    x = feats()
    with torch.autocast('cpu', torch.bfloat16):
        loss = head.loss(x, samples())
    assert all(v.dtype == torch.float32 for v in loss.values())


def test_stock_head_still_cannot_predict():
    """The reason for this class; when mmdet mends it, the test says so."""
    with pytest.raises(AttributeError, match='loss_cls'):
        stock_head().predict(feats(), samples())


@pytest.mark.parametrize('rescale', [False, True])
def test_predict(rescale):
    head = build().eval()
    results = head.predict(feats(scale=3), samples(), rescale=rescale)
    assert len(results) == 3
    limit = 128 if rescale else 64
    for result in results:
        assert 0 < len(result) <= 50
        assert result.bboxes.min() >= 0
        assert result.bboxes.max() <= limit
        assert (result.scores.diff() <= 0).all()
        assert result.scores.max() <= 1
        assert set(result.labels.tolist()) <= set(range(NUM_CLASSES))


def test_state_dict_round_trip_with_mmdet():
    ours, theirs = build(), stock_head()
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())
    assert isinstance(ours, SSDHead)


def test_proposals_equal_a_loop_over_images():
    from mmcv.ops import nms

    head = build()
    outs = head(feats(scale=3))
    metas = [s.metainfo for s in samples()]
    proposals = head.propose(*outs, batch_img_metas=metas, cfg=PROPOSAL)
    priors = torch.cat(head.prior_generator.grid_priors([(8, 8), (4, 4), (2, 2)], device='cpu'))
    for n, proposal in enumerate(proposals):
        logits = torch.cat([s[n].permute(1, 2, 0).reshape(-1, NUM_CLASSES + 1) for s in outs[0]])
        deltas = torch.cat([b[n].permute(1, 2, 0).reshape(-1, 4) for b in outs[1]])
        boxes = head.bbox_coder.decode(priors, deltas, max_shape=(64, 64))
        probs = logits.softmax(-1)
        scores, best = (1 - probs[:, -1]).topk(100)
        dets, keep = nms(boxes[best], scores, 0.7)
        torch.testing.assert_close(proposal.bboxes, dets[:20, :4], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(proposal.scores, dets[:20, 4])
        torch.testing.assert_close(proposal.class_probs, probs[best[keep[:20]]])


def test_proposals_are_clipped_to_their_own_image():
    head = build()
    metas = [dict(img_shape=(64, 64)), dict(img_shape=(32, 48))]
    proposals = head.propose(*head(feats(2, scale=3)), batch_img_metas=metas, cfg=PROPOSAL)
    assert proposals[1].bboxes[:, [0, 2]].max() <= 48
    assert proposals[1].bboxes[:, [1, 3]].max() <= 32
    assert proposals[0].bboxes.max() > 48


def test_proposals_stop_the_gradient():
    head = build()
    outs = head(feats())
    assert outs[0][0].requires_grad
    proposals = head.propose(*outs, [s.metainfo for s in samples()], PROPOSAL)
    assert not any(p.bboxes.requires_grad or p.class_probs.requires_grad for p in proposals)


@pytest.mark.parametrize('value', [None, 0, '3'])
def test_number_of_classes_is_required(value):
    with pytest.raises(ConfigError, match='bbox_head.num_classes: expected .* found'):
        MODELS.build(head_cfg(num_classes=value))
