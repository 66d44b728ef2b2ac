import math

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError
from tests.test_models.helpers import sample
from tests.test_models.test_utils.test_diou_nms import brute_iou_distance

CLASSES, SIDE, STRIDE, BOXES = 3, 2, 32, 2
PIXELS = SIDE * STRIDE
TEST_CFG = ConfigDict(
    score_thr=0.01,
    nms_pre=200,
    min_bbox_size=0,
    nms=dict(type='nms', iou_threshold=0.5),
    max_per_img=30,
)


def make_head(**kwargs):
    cfg = dict(
        type='YOLOv1Head',
        num_classes=CLASSES,
        in_channels=4,
        side=SIDE,
        stride=STRIDE,
        num_boxes=BOXES,
        local_channels=4,
        test_cfg=TEST_CFG,
    )
    head = MODELS.build({**cfg, **kwargs})
    head.init_weights()
    return head


def instances(boxes, labels):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


GTS = {
    'none': [instances([], []), instances([], [])],
    'one': [instances([], []), instances([[10, 10, 30, 28]], [2])],
    'many': [
        # the two first share a cell; the third ends at the image's corner
        instances([[2, 2, 28, 30], [4, 4, 30, 28], [56, 60, 72, 68]], [0, 1, 2]),
        instances([[0, 0, 63, 63], [36, 36, 44, 60]], [1, 0]),
    ],
}


def random_pred(n=2):
    return torch.rand(n, SIDE**2 * (CLASSES + 5 * BOXES))


def brute_cell(pred, image, cell):
    """Classes, confidences, coordinates and boxes of a cell, from Darknet's layout."""
    numbers = pred[image].tolist()
    classes = numbers[cell * CLASSES : (cell + 1) * CLASSES]
    start = SIDE**2 * CLASSES
    confidence = numbers[start + cell * BOXES : start + (cell + 1) * BOXES]
    start += SIDE**2 * BOXES
    coords, boxes = [], []
    for box in range(BOXES):
        first = start + (cell * BOXES + box) * 4
        x, y, w, h = numbers[first : first + 4]
        coords.append([x, y, w, h])
        cx, cy = (cell % SIDE + x) * STRIDE, (cell // SIDE + y) * STRIDE
        bw, bh = w * w * PIXELS, h * h * PIXELS
        boxes.append([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2])
    return classes, confidence, coords, boxes


def cell_of(box):
    column = min(int((box[0] + box[2]) / 2 // STRIDE), SIDE - 1)
    return min(int((box[1] + box[3]) / 2 // STRIDE), SIDE - 1) * SIDE + column


def centre_and_size(b):
    return (b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]


def brute_loss(pred, gts):
    cls = obj = loss_box = 0.0
    for image, gt in enumerate(gts):
        owner = {}
        for index, box in enumerate(gt.bboxes.tolist()):
            owner.setdefault(cell_of(box), index)
        for cell in range(SIDE**2):
            classes, confidence, coords, boxes = brute_cell(pred, image, cell)
            responsible = None
            if cell in owner:
                truth = gt.bboxes[owner[cell]].tolist()
                ious = [brute_iou_distance(box, truth)[0] for box in boxes]
                if max(ious) > 0:
                    responsible = ious.index(max(ious))
                else:
                    far = [math.dist(centre_and_size(box), centre_and_size(truth)) for box in boxes]
                    responsible = far.index(min(far))
                goal = [
                    (truth[0] + truth[2]) / 2 / STRIDE - cell % SIDE,
                    (truth[1] + truth[3]) / 2 / STRIDE - cell // SIDE,
                    math.sqrt((truth[2] - truth[0]) / PIXELS),
                    math.sqrt((truth[3] - truth[1]) / PIXELS),
                ]
                own = coords[responsible]
                loss_box += 5 * sum((a - b) ** 2 for a, b in zip(own, goal, strict=True))
                obj += (confidence[responsible] - ious[responsible]) ** 2
                for c, value in enumerate(classes):
                    cls += (value - float(c == int(gt.labels[owner[cell]]))) ** 2
            for box in range(BOXES):
                if box != responsible:
                    obj += 0.5 * confidence[box] ** 2
    losses = dict(loss_cls=cls, loss_obj=obj, loss_bbox=loss_box)
    return {key: float(value) / len(gts) for key, value in losses.items()}


@pytest.mark.parametrize('name', GTS)
def test_loss_equals_the_loop(name):
    pred = random_pred()
    losses = make_head().loss_by_feat(pred, GTS[name], [{}] * 2)
    for key, value in brute_loss(pred, GTS[name]).items():
        assert losses[key].item() == pytest.approx(value, rel=1e-4), key


def test_without_overlap_the_nearest_box_is_responsible():
    """Boxes of no size have the IoU 0 with all."""
    pred = random_pred()
    boxes = pred[:, -(SIDE**2) * BOXES * 4 :].view(2, -1, 4)
    boxes[..., 2:] = 0
    losses = make_head().loss_by_feat(pred, GTS['many'], [{}] * 2)
    for key, value in brute_loss(pred, GTS['many']).items():
        assert losses[key].item() == pytest.approx(value, rel=1e-4), key


def test_gradcheck_of_boxes_and_classes():
    """The confidence has the IoU as a target: its gradient is checked below."""
    head = make_head()
    gts = [InstanceData(bboxes=gt.bboxes.double(), labels=gt.labels) for gt in GTS['many']]

    def total(pred):
        losses = head.loss_by_feat(pred, gts, [{}] * 2)
        return losses['loss_cls'] + losses['loss_bbox']

    assert torch.autograd.gradcheck(total, (random_pred().double().requires_grad_(),))


def test_the_iou_is_a_target():
    head = make_head()
    pred = random_pred(1).requires_grad_()
    head.loss_by_feat(pred, GTS['one'][1:], [{}])['loss_obj'].backward()
    assert pred.grad[:, : SIDE**2 * CLASSES].abs().max() == 0
    assert pred.grad[:, SIDE**2 * (CLASSES + BOXES) :].abs().max() == 0
    assert (pred.grad[:, SIDE**2 * CLASSES : SIDE**2 * (CLASSES + BOXES)] != 0).all()


@pytest.mark.parametrize('ignored', [None, [None, None]])
def test_nothing_to_ignore(ignored):
    pred = random_pred()
    head = make_head()
    losses = head.loss_by_feat(pred, GTS['many'], [{}] * 2, ignored)
    assert losses['loss_obj'].item() == pytest.approx(brute_loss(pred, GTS['many'])['loss_obj'])


def test_a_cell_of_an_ignored_box_unlearns_nothing():
    head = make_head()
    pred = random_pred(1).requires_grad_()
    ignored = [instances([[34, 2, 60, 30]], [0])]  # cell 1
    head.loss_by_feat(pred, GTS['one'][1:], [{}], ignored)['loss_obj'].backward()
    confidence = pred.grad[0, SIDE**2 * CLASSES : SIDE**2 * (CLASSES + BOXES)].view(-1, BOXES)
    assert (confidence[1] == 0).all()
    assert (confidence[[0, 2, 3]] != 0).all()


def test_no_boxes_keep_the_graph_and_huge_numbers_stay_finite():
    head = make_head()
    for name, scale in (('none', 1.0), ('many', 1e4)):
        pred = (random_pred() * scale).requires_grad_()
        losses = head.loss_by_feat(pred, GTS[name], [{}] * 2)
        sum(losses.values()).backward()
        assert all(torch.isfinite(loss) for loss in losses.values())
        assert torch.isfinite(pred.grad).all()


def test_float32_under_autocast():
    head = make_head().eval()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        pred = head([torch.randn(2, 4, SIDE, SIDE)])[0]
        assert pred.dtype == torch.bfloat16
        losses = head.loss_by_feat(pred, GTS['many'], [{}] * 2)
    expected = head.loss_by_feat(pred.float(), GTS['many'], [{}] * 2)
    for key, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[key])


def test_predict_equals_the_loop():
    head = make_head()
    pred = random_pred(1) * 1.4 - 0.2  # some numbers are outside [0, 1]
    meta = dict(img_shape=(PIXELS, PIXELS), scale_factor=(0.5, 0.5))
    result = head.predict_by_feat(pred, [meta], rescale=True)[0]
    candidates = []
    for cell in range(SIDE**2):
        classes, confidence, _, boxes = brute_cell(pred, 0, cell)
        for own, box in zip(confidence, boxes, strict=True):
            box = [min(max(v, 0), PIXELS) for v in box]
            for c, value in enumerate(classes):
                score = min(max(own, 0), 1) * min(max(value, 0), 1)
                if score > 0.01 and box[2] > box[0] and box[3] > box[1]:
                    candidates.append((score, c, box))
    kept = []
    for score, c, box in sorted(candidates, key=lambda item: -item[0]):
        same = [other for _, label, other in kept if label == c]
        if all(brute_iou_distance(other, box)[0] <= 0.5 for other in same):
            kept.append((score, c, box))
    assert len(result.scores) == len(kept[:30])
    for i, (score, label, box) in enumerate(kept[:30]):
        assert result.scores[i].item() == pytest.approx(score, rel=1e-4)
        assert result.labels[i].item() == label
        assert result.bboxes[i].tolist() == pytest.approx([2 * v for v in box], abs=1e-2)


def model_cfg():
    head = dict(
        type='YOLOv1Head',
        num_classes=CLASSES,
        in_channels=8,
        side=SIDE,
        stride=STRIDE,
        num_boxes=BOXES,
        local_channels=4,
    )
    return dict(
        type='SingleStageDetector',
        backbone=dict(type='YOLOv1Backbone', widen_factor=0.125),
        neck=dict(type='YOLOv1Neck', in_channels=128, out_channels=8, stride=1),
        bbox_head=head,
        test_cfg=TEST_CFG,
    )


def test_detector_trains_predicts_and_is_saved():
    model = MODELS.build(model_cfg())
    model.init_weights()
    size = (PIXELS, PIXELS)
    batch = [
        sample([[4, 4, 24, 24], [10, 10, 30, 28]], [0, 2], size),
        sample([], [], size),
    ]
    x = torch.randn(2, 3, *size)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    totals = []
    for _ in range(6):
        optimizer.zero_grad()
        total, _ = model.parse_losses(model.loss(x, batch))
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0]
    model.eval()
    other = MODELS.build(model_cfg()).eval()
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        for a, b in zip(model.predict(x, batch), other.predict(x, batch), strict=True):
            assert torch.equal(a.pred_instances.bboxes, b.pred_instances.bboxes)


def test_another_image_size_is_refused():
    with pytest.raises(ConfigError, match='64 x 64 px'):
        make_head()([torch.randn(1, 4, 3, 3)])


@pytest.mark.parametrize(
    'wrong', [dict(num_classes=0), dict(side=0), dict(num_boxes=0), dict(dropout=1.0)]
)
def test_errors(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        make_head(**wrong)
