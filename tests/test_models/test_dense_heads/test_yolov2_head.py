import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError
from tests.test_models.helpers import sample
from tests.test_models.test_utils.test_diou_nms import brute_iou_distance

CLASSES, STRIDE = 3, 32
ANCHORS = [(10, 18), (40, 30)]
SIZE = (96, 64)  # h, w
TEST_CFG = ConfigDict(
    score_thr=0.01,
    nms_pre=200,
    min_bbox_size=0,
    nms=dict(type='nms', iou_threshold=0.45),
    max_per_img=30,
)


def make_head(**kwargs):
    cfg = dict(
        type='YOLOv2Head',
        num_classes=CLASSES,
        in_channels=8,
        anchor_generator=dict(type='YOLOAnchorGenerator', base_sizes=[ANCHORS], strides=[STRIDE]),
        test_cfg=TEST_CFG,
    )
    cfg.update(kwargs)
    head = MODELS.build(cfg)
    head.init_weights()
    return head


def instances(boxes, labels):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


GTS = {
    'none': [instances([], []), instances([], [])],
    'one': [instances([], []), instances([[10, 10, 50, 40]], [2])],
    'many': [
        # the two first share cell and anchor; the third ends at the image's corner
        instances([[2, 2, 28, 30], [4, 4, 30, 28], [60, 90, 68, 102]], [0, 1, 2]),
        instances([[0, 0, 64, 96], [36, 36, 44, 60]], [1, 0]),
    ],
}


def random_map(n=2, size=SIZE, scale=1.0):
    return torch.randn(n, 2 * (5 + CLASSES), size[0] // STRIDE, size[1] // STRIDE) * scale


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def brute_priors():
    return [
        (row, column, anchor)
        for row in range(SIZE[0] // STRIDE)
        for column in range(SIZE[1] // STRIDE)
        for anchor in range(2)
    ]


def brute_predictions(pred, image):
    """Of each prior its box, the four coordinates, objectness and class probabilities."""
    out = []
    for row, column, anchor in brute_priors():
        start = anchor * (5 + CLASSES)
        t = pred[image, start : start + 5 + CLASSES, row, column].tolist()
        x, y = STRIDE * (column + sigmoid(t[0])), STRIDE * (row + sigmoid(t[1]))
        w, h = (p * math.exp(v) for p, v in zip(ANCHORS[anchor], t[2:4], strict=True))
        total = sum(math.exp(v) for v in t[5:])
        out.append(
            (
                [x - w / 2, y - h / 2, x + w / 2, y + h / 2],
                [sigmoid(t[0]), sigmoid(t[1]), t[2], t[3]],
                sigmoid(t[4]),
                [math.exp(v) / total for v in t[5:]],
            )
        )
    return out


def brute_match(gt):
    """The true box of each prior that has one; the later of two."""
    found = {}
    for index, (x1, y1, x2, y2) in enumerate(gt.bboxes.tolist()):
        w, h = max(x2 - x1, 1), max(y2 - y1, 1)
        shapes = []
        for aw, ah in ANCHORS:
            inter = min(w, aw) * min(h, ah)
            shapes.append(inter / (w * h + aw * ah - inter))
        column = min(int((x1 + x2) / 2 // STRIDE), SIZE[1] // STRIDE - 1)
        row = min(int((y1 + y2) / 2 // STRIDE), SIZE[0] // STRIDE - 1)
        found[brute_priors().index((row, column, shapes.index(max(shapes))))] = index
    return found


def brute_loss(pred, gts, early=True):
    cls = obj = box = prior_loss = 0.0
    for image, gt in enumerate(gts):
        match = brute_match(gt)
        for prior, (bbox, coords, objectness, classes) in enumerate(brute_predictions(pred, image)):
            row, column, anchor = brute_priors()[prior]
            if prior in match:
                x1, y1, x2, y2 = gt.bboxes[match[prior]].tolist()
                w, h = x2 - x1, y2 - y1
                goal = [
                    (x1 + x2) / 2 / STRIDE - column,
                    (y1 + y2) / 2 / STRIDE - row,
                    math.log(w / ANCHORS[anchor][0]),
                    math.log(h / ANCHORS[anchor][1]),
                ]
                small = 2 - w * h / (SIZE[0] * SIZE[1])
                box += small / 2 * sum((a - b) ** 2 for a, b in zip(coords, goal, strict=True))
                obj += 5 / 2 * (objectness - brute_iou_distance(bbox, [x1, y1, x2, y2])[0]) ** 2
                cls -= math.log(classes[gt.labels[match[prior]]])
            else:
                if all(brute_iou_distance(bbox, g)[0] <= 0.6 for g in gt.bboxes.tolist()):
                    obj += objectness**2 / 2
                goal = [0.5, 0.5, 0, 0]
                squares = sum((a - b) ** 2 for a, b in zip(coords, goal, strict=True))
                prior_loss += early * 0.01 / 2 * squares
    losses = dict(loss_cls=cls, loss_obj=obj, loss_bbox=box, loss_prior=prior_loss)
    return {key: value / len(gts) for key, value in losses.items()}


@pytest.mark.parametrize('early', [True, False])
@pytest.mark.parametrize('name', GTS)
def test_loss_equals_the_loop(name, early):
    head = make_head()
    if not early:
        head.seen.fill_(12800)
    pred = random_map(scale=0.5)
    losses = head.loss_by_feat(pred, GTS[name], [{}] * 2)
    for key, value in brute_loss(pred, GTS[name], early).items():
        assert losses[key].item() == pytest.approx(value, rel=1e-4), key
    assert head.seen == 2 + (not early) * 12800


def test_of_two_boxes_in_a_cell_the_later_counts():
    head = make_head()
    only_later = [instances(GTS['many'][0].bboxes[1:2].tolist(), [1])]
    both = [instances(GTS['many'][0].bboxes[:2].tolist(), [0, 1])]
    pred = random_map(1, scale=0.1)
    first, second = (head.loss_by_feat(pred, gts, [{}]) for gts in (both, only_later))
    for key in ('loss_cls', 'loss_bbox'):
        torch.testing.assert_close(first[key], second[key])


def test_gradcheck():
    """At float64; the IoU, a target, is held by predictions far from it."""
    head = make_head(loss_obj_weight=0.0)
    gts = [InstanceData(bboxes=gt.bboxes.double(), labels=gt.labels) for gt in GTS['many']]

    def total(pred):
        return sum(head.loss_by_feat(pred, gts, [{}] * 2).values())

    assert torch.autograd.gradcheck(total, (random_map(scale=0.3).double().requires_grad_(),))


def test_the_gradient_of_objectness_is_darknet_s():
    """The IoU is a target: (sigma - IoU) sigma' and nothing through the box."""
    head = make_head(loss_coord_weight=0.0, loss_prior_weight=0.0, loss_cls_weight=0.0)
    pred = random_map(1, scale=0.3).requires_grad_()
    gts = GTS['one'][1:]
    sum(head.loss_by_feat(pred, gts, [{}]).values()).backward()
    (prior,) = brute_match(gts[0])
    row, column, anchor = brute_priors()[prior]
    bbox, _, objectness, _ = brute_predictions(pred, 0)[prior]
    iou = brute_iou_distance(bbox, gts[0].bboxes[0].tolist())[0]
    expected = 5 * (objectness - iou) * objectness * (1 - objectness)
    start = anchor * (5 + CLASSES)
    assert pred.grad[0, start + 4, row, column].item() == pytest.approx(expected, rel=1e-3)
    assert pred.grad[0, start : start + 4, row, column].abs().max() == 0


@pytest.mark.parametrize('given_as', ['truth', 'ignored box'])
def test_near_predictions_are_no_negatives(given_as):
    head = make_head(loss_prior_weight=0.0)
    box = [[8, 10, 48, 40]]  # the second anchor's shape, centred in cell (0, 0)
    gts, ignored = [instances(box, [2])], None
    if given_as == 'ignored box':
        gts, ignored = [instances([], [])], [instances(box, [0])]
    pred = torch.full((1, 16, 3, 2), -8.0)
    # cell (0, 1): its box of the second anchor begins at its left edge, IoU 0.76 with the box
    pred[0, 8:12, 0, 1] = torch.tensor([-8.0, 1.5, 0.0, 0.0])
    pred.requires_grad_()
    head.loss_by_feat(pred, gts, [{}], ignored)['loss_obj'].backward()
    assert pred.grad[0, 12, 0, 1] == 0
    assert pred.grad[0, 4, 0, 1] != 0


def test_no_boxes_keep_the_graph_and_huge_numbers_stay_finite():
    head = make_head()
    for name, scale in (('none', 1.0), ('many', 1e4)):
        pred = random_map(scale=scale).requires_grad_()
        losses = head.loss_by_feat(pred, GTS[name], [{}] * 2)
        sum(losses.values()).backward()
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert torch.isfinite(pred.grad).all()


def test_a_map_of_one_cell():
    head = make_head()
    pred = torch.randn(1, 16, 1, 1)
    losses = head.loss_by_feat(pred, [instances([[0, 0, 32, 32]], [0])], [{}])
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_float32_under_autocast():
    head = make_head()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pred = head([torch.randn(2, 8, 3, 2)])[0]
        assert pred.dtype == torch.bfloat16
        losses = head.loss_by_feat(pred, GTS['many'], [{}] * 2)
    expected = head.loss_by_feat(pred.float(), GTS['many'], [{}] * 2)
    for key, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[key])


def test_predict_equals_the_loop():
    head = make_head()
    pred = random_map(1)
    meta = dict(img_shape=SIZE, scale_factor=(0.5, 0.5))
    result = head.predict_by_feat(pred, [meta], rescale=True)[0]
    candidates = []
    for bbox, _, objectness, classes in brute_predictions(pred, 0):
        bbox = [min(max(v, 0), SIZE[1 - i % 2]) for i, v in enumerate(bbox)]
        for c, probability in enumerate(classes):
            if objectness * probability > 0.01 and bbox[2] > bbox[0] and bbox[3] > bbox[1]:
                candidates.append((objectness * probability, c, bbox))
    kept = []
    for score, c, bbox in sorted(candidates, key=lambda item: -item[0]):
        same = [other for _, label, other in kept if label == c]
        if all(brute_iou_distance(other, bbox)[0] <= 0.45 for other in same):
            kept.append((score, c, bbox))
    assert len(result.scores) == len(kept[:30])
    for i, (score, label, bbox) in enumerate(kept[:30]):
        assert result.scores[i].item() == pytest.approx(score, rel=1e-4)
        assert result.labels[i].item() == label
        assert result.bboxes[i].tolist() == pytest.approx([2 * v for v in bbox], abs=1e-2)


def model_cfg():
    head = dict(
        type='YOLOv2Head',
        num_classes=CLASSES,
        in_channels=16,
        anchor_generator=dict(type='YOLOAnchorGenerator', base_sizes=[ANCHORS], strides=[STRIDE]),
    )
    return dict(
        type='SingleStageDetector',
        backbone=dict(type='Darknet19', widen_factor=0.125),
        neck=dict(
            type='YOLOv2Neck', in_channels=(64, 128), out_channels=16, passthrough_channels=8
        ),
        bbox_head=head,
        test_cfg=TEST_CFG,
    )


def test_detector_trains_predicts_and_is_saved():
    model = MODELS.build(model_cfg())
    model.init_weights()
    size = (64, 96)
    batch = [
        sample([[4, 4, 24, 24], [10, 10, 30, 28]], [0, 2], size),
        sample([[10, 12, 20, 30]], [1], size),
        sample([], [], size),
    ]
    x = torch.randn(3, 3, *size)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    totals = []
    for _ in range(4):
        optimizer.zero_grad()
        total, _ = model.parse_losses(model.loss(x, batch))
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0]
    model.eval()
    other = MODELS.build(model_cfg()).eval()
    other.load_state_dict(model.state_dict())
    assert other.bbox_head.seen == 12
    with torch.no_grad():
        for a, b in zip(model.predict(x, batch), other.predict(x, batch), strict=True):
            assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)


@pytest.mark.parametrize(
    'wrong',
    [
        dict(num_classes=0),
        dict(ignore_iou_thr=2),
        dict(prior_images=-1),
        dict(
            anchor_generator=dict(
                type='YOLOAnchorGenerator', base_sizes=[ANCHORS, ANCHORS], strides=[16, 32]
            )
        ),
    ],
)
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make_head(**wrong)
