import math

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError
from tests.test_models.helpers import sample
from tests.test_models.test_losses.test_complete_iou_loss import brute as brute_ciou
from tests.test_models.test_utils.test_diou_nms import brute_iou_distance

CLASSES = 3
STRIDES = (8, 16, 32)
ANCHORS = [
    [(6, 8), (10, 18), (20, 14)],
    [(18, 37), (38, 27), (30, 30)],
    [(50, 40), (60, 60), (90, 100)],
]
SCALES = (1.2, 1.1, 1.05)


def head_cfg(**kwargs):
    cfg = dict(
        type='YOLOv4Head',
        num_classes=CLASSES,
        in_channels=(8, 8, 8),
        anchor_generator=dict(
            type='YOLOAnchorGenerator', base_sizes=ANCHORS, strides=list(STRIDES)
        ),
        test_cfg=ConfigDict(
            score_thr=0.01,
            nms_pre=200,
            min_bbox_size=0,
            nms=dict(type='diou_nms', iou_threshold=0.45),
            max_per_img=30,
        ),
    )
    cfg.update(kwargs)
    return cfg


def make_head(**kwargs):
    head = MODELS.build(head_cfg(**kwargs))
    head.init_weights()
    return head


def model_cfg():
    return dict(
        type='YOLOV4',
        backbone=dict(type='CSPDarknet53', deepen_factor=0.1, widen_factor=0.125),
        neck=dict(type='YOLOv4Neck', in_channels=(32, 64, 128), out_channels=(8, 8, 8)),
        bbox_head=head_cfg(),
        test_cfg=head_cfg()['test_cfg'],
    )


def instances(boxes, labels):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


GTS = {
    'none': [instances([], []), instances([], [])],
    'one': [instances([], []), instances([[10, 10, 30, 40]], [2])],
    'many': [
        # the two first share cell and anchors; the last ends at the image's corner
        instances(
            [[4, 4, 24, 24], [5, 4, 23, 25], [30, 10, 60, 50], [63, 95, 65, 97]], [0, 1, 2, 1]
        ),
        instances([[0, 0, 64, 96], [20, 20, 22, 60]], [1, 0]),
    ],
}
SIZE = (96, 64)  # h, w


def random_maps(n=2, scale=1.0, size=SIZE):
    return [
        torch.randn(n, 3 * (5 + CLASSES), -(-size[0] // s), -(-size[1] // s)) * scale
        for s in STRIDES
    ]


def brute_priors():
    """Per prior its stride, scale, cell, anchor: in the order levels, rows, columns, anchors."""
    return [
        (level, column, row, anchor)
        for level, stride in enumerate(STRIDES)
        for row in range(-(-SIZE[0] // stride))
        for column in range(-(-SIZE[1] // stride))
        for anchor in range(3)
    ]


def brute_predictions(maps, image):
    """Boxes, objectness and class logits of one image, as the paper says."""
    out = []
    for level, column, row, anchor in brute_priors():
        stride, scale = STRIDES[level], SCALES[level]
        start = anchor * (5 + CLASSES)
        values = maps[level][image, start : start + 5 + CLASSES, row, column].tolist()
        x, y = (
            stride * (cell + scale / (1 + math.exp(-t)) - (scale - 1) / 2)
            for cell, t in ((column, values[0]), (row, values[1]))
        )
        w, h = (p * math.exp(t) for p, t in zip(ANCHORS[level][anchor], values[2:4], strict=True))
        out.append(([x - w / 2, y - h / 2, x + w / 2, y + h / 2], values[4], values[5:]))
    return out


def brute_pairs(gt):
    """(prior, gt) of one image."""
    priors = brute_priors()
    pairs = []
    for index, box in enumerate(gt.bboxes.tolist()):
        w, h = box[2] - box[0], box[3] - box[1]
        shape = {}
        for level in range(3):
            for anchor, (aw, ah) in enumerate(ANCHORS[level]):
                inter = min(w, aw) * min(h, ah)
                shape[level, anchor] = inter / (w * h + aw * ah - inter)
        best = max(shape, key=shape.get)
        for (level, anchor), iou in shape.items():
            if (level, anchor) == best or iou > 0.213:
                stride = STRIDES[level]
                column = min(int((box[0] + box[2]) / 2 // stride), -(-SIZE[1] // stride) - 1)
                row = min(int((box[1] + box[3]) / 2 // stride), -(-SIZE[0] // stride) - 1)
                pairs.append((priors.index((level, column, row, anchor)), index))
    return pairs


def bce(logit, target):
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def brute_loss(maps, gts, smoothing):
    cls = obj = box = 0.0
    num_pairs = 0
    for image, gt in enumerate(gts):
        predictions, pairs = brute_predictions(maps, image), brute_pairs(gt)
        num_pairs += len(pairs)
        classes = {}
        for prior, index in pairs:
            classes.setdefault(prior, set()).add(int(gt.labels[index]))
            box += 1 - brute_ciou(predictions[prior][0], gt.bboxes[index].tolist())
        for prior, (bbox, objectness, logits) in enumerate(predictions):
            if prior in classes:
                obj += bce(objectness, 1)
                for c, logit in enumerate(logits):
                    target = 1 - smoothing / 2 if c in classes[prior] else smoothing / 2
                    cls += bce(logit, target)
            elif all(brute_iou_distance(bbox, g)[0] <= 0.7 for g in gt.bboxes.tolist()):
                obj += bce(objectness, 0)
    factor = max(num_pairs, len(gts))
    return dict(loss_cls=cls / factor, loss_obj=obj / factor, loss_bbox=5 * box / factor)


@pytest.mark.parametrize('name', GTS)
def test_match_equals_the_loop(name):
    gts = GTS[name]
    head = make_head()
    image = torch.cat([torch.full((len(gt.bboxes),), i) for i, gt in enumerate(gts)])
    sizes = [m.shape[-2:] for m in random_maps()]
    found = head.match(torch.cat([gt.bboxes for gt in gts]), image.long(), sizes)
    expected, first = [], 0
    for i, gt in enumerate(gts):
        expected += [(i, prior, first + index) for prior, index in brute_pairs(gt)]
        first += len(gt.bboxes)
    assert sorted(zip(*(t.tolist() for t in found), strict=True)) == sorted(expected)
    if name == 'many':
        assert len(expected) > first  # several anchors a box


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('name', GTS)
def test_loss_equals_the_loop(name, smoothing):
    gts = GTS[name]
    head = make_head(label_smoothing=smoothing)
    maps = random_maps(scale=0.5)
    losses = head.loss_by_feat(maps, gts, [{}] * 2)
    for key, value in brute_loss(maps, gts, smoothing).items():
        assert losses[key].item() == pytest.approx(value, rel=1e-4), key


@pytest.mark.parametrize('threshold', [0.7, 1.0])
@pytest.mark.parametrize('given_as', ['truth', 'ignored box'])
def test_ignored_predictions(threshold, given_as):
    """A good box of a prior without a match is neither positive nor negative."""
    head = make_head(ignore_iou_thr=threshold)
    box = [[10, 10, 30, 40]]
    gts, ignored = [instances(box, [2])], None
    if given_as == 'ignored box':
        gts, ignored = [instances([], [])], [instances(box, [0])]
    maps = [torch.full_like(m, -8.0) for m in random_maps(1)]
    # column 0, row 1 of stride 16: left of the true box's cell, with a box of IoU 0.72
    values = [8.0, 0.2283, math.log(20 / 18), math.log(30 / 37), 0.0]
    maps[1][0, :5, 1, 0] = torch.tensor(values)
    bbox = brute_predictions(maps, 0)[len(STRIDES) * 8 * 12 + 1 * 4 * 3][0]
    assert brute_iou_distance(bbox, box[0])[0] == pytest.approx(0.72, abs=0.01)
    maps[1].requires_grad_()
    head.loss_by_feat(maps, gts, [{}], ignored)['loss_obj'].backward()
    assert (maps[1].grad[0, 4, 1, 0] == 0) == (threshold == 0.7)


def test_gradient_reaches_every_map_without_boxes():
    head = make_head()
    maps = [m.requires_grad_() for m in random_maps()]
    sum(head.loss_by_feat(maps, GTS['none'], [{}] * 2).values()).backward()
    assert all(m.grad is not None and torch.isfinite(m.grad).all() for m in maps)


def test_huge_predictions_stay_finite():
    head = make_head()
    maps = [(m * 1e4).requires_grad_() for m in random_maps()]
    losses = head.loss_by_feat(maps, GTS['many'], [{}] * 2)
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert all(torch.isfinite(m.grad).all() for m in maps)


def test_float32_under_autocast():
    head = make_head()
    x = [torch.randn(2, 8, 96 // s, 64 // s) for s in STRIDES]
    with torch.autocast('cpu', dtype=torch.bfloat16):
        maps = head(x)[0]
        assert maps[0].dtype == torch.bfloat16
        losses = head.loss_by_feat(maps, GTS['many'], [{}] * 2)
    expected = head.loss_by_feat([m.float() for m in maps], GTS['many'], [{}] * 2)
    for key, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[key])


def test_predict_equals_the_loop():
    head = make_head()
    maps = random_maps(1)
    meta = dict(img_shape=SIZE, scale_factor=(0.5, 0.5))
    result = head.predict_by_feat(maps, [meta], rescale=True)[0]
    candidates = []
    for bbox, objectness, logits in brute_predictions(maps, 0):
        bbox = [min(max(v, 0), SIZE[1 - i % 2]) for i, v in enumerate(bbox)]
        for c, logit in enumerate(logits):
            score = 1 / (1 + math.exp(-objectness)) / (1 + math.exp(-logit))
            if score > 0.01 and bbox[2] > bbox[0] and bbox[3] > bbox[1]:
                candidates.append((score, c, bbox))
    kept = []
    for candidate in sorted(candidates, key=lambda item: -item[0])[:200]:
        for other in kept:
            if other[1] == candidate[1]:
                iou, distance = brute_iou_distance(other[2], candidate[2])
                if iou - distance**0.6 > 0.45:
                    break
        else:
            kept.append(candidate)
    kept = kept[:30]
    assert len(result.scores) == len(kept)
    for i, (score, label, bbox) in enumerate(kept):
        assert result.scores[i].item() == pytest.approx(score, rel=1e-4)
        assert result.labels[i].item() == label
        assert result.bboxes[i].tolist() == pytest.approx([2 * v for v in bbox], abs=1e-2)


def test_mmcvs_nms_too():
    head = make_head()
    cfg = ConfigDict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.5), max_per_img=5)
    meta = dict(img_shape=SIZE)
    assert len(head.predict_by_feat(random_maps(1), [meta], cfg=cfg)[0]) == 5
    silent = [m - 100 for m in random_maps(1)]
    assert len(head.predict_by_feat(silent, [meta])[0]) == 0


@pytest.mark.parametrize('size', [(32, 32), (64, 96)])
def test_detector_trains_predicts_and_is_saved(size):
    model = MODELS.build(model_cfg())
    model.init_weights()
    batch = [
        sample([[4, 4, 24, 24], [10, 10, 30, 28]], [0, 2], size),
        sample([[10, 12, 20, 30]], [1], size),
        sample([], [], size),
    ]
    x = torch.randn(3, 3, *size)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    totals = []
    for _ in range(5):
        optimizer.zero_grad()
        total, _ = model.parse_losses(model.loss(x, batch))
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0]
    model.eval()
    with torch.no_grad():
        result = model.predict(x, batch)
    other = MODELS.build(model_cfg()).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        again = other.predict(x, batch)
    for a, b in zip(result, again, strict=True):
        assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)


def test_first_predictions_are_improbable():
    head = make_head()
    maps = head([torch.randn(1, 8, 4, 4) for _ in STRIDES])[0]
    predictions = head.decode(maps)
    assert predictions.objectness.sigmoid().mean().item() == pytest.approx(0.01, rel=0.5)
    assert F.softplus(predictions.classes).mean() < 0.05


@pytest.mark.parametrize(
    'wrong',
    [
        dict(in_channels=(8, 8)),
        dict(scale_x_y=(1.0, 1.0, 0.9)),
        dict(num_classes=0),
        dict(pos_iou_thr=2),
        dict(label_smoothing=1.0),
    ],
)
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make_head(**wrong)
