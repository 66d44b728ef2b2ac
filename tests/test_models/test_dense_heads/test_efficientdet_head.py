from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
CLASSES = 2
#: Table 1 of the paper: backbone, channels and cells of the BiFPN, layers of a head, pixels.
TABLE_1 = {
    0: ('b0', 64, 3, 3, 512),
    1: ('b1', 88, 4, 3, 640),
    2: ('b2', 112, 5, 3, 768),
    3: ('b3', 160, 6, 4, 896),
    4: ('b4', 224, 7, 4, 1024),
    5: ('b5', 288, 7, 4, 1280),
    6: ('b6', 384, 8, 5, 1280),
    7: ('b6', 384, 8, 5, 1536),
}
#: Table 2: million parameters.
PARAMETERS = {0: 3.9, 1: 6.6, 2: 8.1, 3: 12, 4: 21, 5: 34, 6: 52, 7: 52}


def make_head(**kwargs):
    cfg = dict(
        type='EfficientDetHead',
        num_classes=CLASSES,
        in_channels=6,
        num_convs=2,
        anchor_generator=dict(
            type='AnchorGenerator',
            octave_base_scale=4,
            scales_per_octave=1,
            ratios=[1.0],
            strides=[8, 16],
            center_offset=0.5,
        ),
        train_cfg=ConfigDict(
            assigner=dict(type='MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0),
            sampler=dict(type='PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=ConfigDict(
            nms_pre=100,
            min_bbox_size=0,
            score_thr=0.0,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=10,
        ),
    )
    cfg.update(kwargs)
    head = MODELS.build(cfg)
    head.init_weights()
    return head


def maps(n=2, sizes=((4, 4), (2, 2))):
    return [torch.randn(n, 6, *size) for size in sizes]


def instances(boxes, labels):
    return InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.long),
    )


METAS = [dict(img_shape=(32, 32), pad_shape=(32, 32), scale_factor=(1.0, 1.0))] * 2


def test_convolutions_are_shared_and_norms_are_not():
    head = make_head().eval()
    for tower in (head.cls_tower, head.reg_tower):
        for norm in (norm for level in tower.norms for norm in level):
            norm.running_mean.normal_()
            norm.weight.data.uniform_(0.5, 2)
    x = maps()
    for tower, outs in zip((head.cls_tower, head.reg_tower), head(x), strict=True):
        for level, out in enumerate(outs):
            y = x[level]
            for conv, norm in zip(tower.convs, tower.norms[level], strict=True):
                y = F.conv2d(y, conv.depthwise.weight, padding=1, groups=6)
                y = F.silu(norm(F.conv2d(y, conv.pointwise.weight, conv.pointwise.bias)))
            torch.testing.assert_close(out, tower.pred(y))
    # the same map on both levels tells the norms apart
    same = head([x[0], x[0]])[0]
    assert not torch.allclose(same[0], same[1])


def test_first_predictions_are_improbable():
    scores = make_head()(maps())[0]
    mean = torch.cat([s.flatten() for s in scores]).sigmoid().mean()
    assert mean.item() == pytest.approx(0.01, rel=0.2)


def test_loss_equals_the_loop():
    """Focal loss and 50 Huber losses, by hand; one image without a box."""
    head = make_head()
    x = maps()
    gts = [instances([[2, 2, 30, 30]], [1]), instances([], [])]
    scores, deltas = ([level.detach() for level in kind] for kind in head(x))
    losses = head.loss_by_feat(scores, deltas, gts, METAS)
    anchors = torch.cat(
        head.prior_generator.grid_priors([s.shape[-2:] for s in scores], device='cpu')
    )
    cls, box, positives = 0.0, 0.0, 0
    for image, gt in enumerate(gts):
        logits = torch.cat([s[image].permute(1, 2, 0).reshape(-1, CLASSES) for s in scores])
        pred = torch.cat([d[image].permute(1, 2, 0).reshape(-1, 4) for d in deltas])
        targets = torch.zeros_like(logits)
        for b, label in zip(gt.bboxes, gt.labels, strict=True):
            low, high = torch.maximum(anchors[:, :2], b[:2]), torch.minimum(anchors[:, 2:], b[2:])
            inter = (high - low).clamp(min=0).prod(dim=1)
            sizes = anchors[:, 2:] - anchors[:, :2]
            iou = inter / (sizes.prod(dim=1) + (b[2:] - b[:2]).prod() - inter)
            matched = (iou >= 0.5) | (iou == iou.max())
            positives += int(matched.sum())
            targets[matched, label] = 1
            middle = (b[:2] + b[2:] - anchors[:, :2] - anchors[:, 2:]) / 2 / sizes
            goal = torch.cat([middle, ((b[2:] - b[:2]) / sizes).log()], dim=1)[matched]
            box += 50 * F.huber_loss(pred[matched], goal, delta=0.1, reduction='sum').item() / 4
        p = logits.sigmoid()
        focal = -0.25 * targets * (1 - p) ** 1.5 * p.log()
        focal -= 0.75 * (1 - targets) * p**1.5 * (1 - p).log()
        cls += focal.sum().item()
    # an image without positives counts as one of them, as in mmdet
    factor = positives + 1
    assert sum(losses['loss_cls']).item() == pytest.approx(cls / factor, rel=1e-4)
    assert sum(losses['loss_bbox']).item() == pytest.approx(box / factor, rel=1e-4)


def test_no_boxes_and_a_map_of_one_cell():
    head = make_head().train()
    x = maps(2, ((2, 2), (1, 1)))
    metas = [dict(img_shape=(16, 16), pad_shape=(16, 16))] * 2
    losses = head.loss_by_feat(*head(x), [instances([], [])] * 2, metas)
    total = sum(sum(loss) for loss in losses.values())
    total.backward()
    assert torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_predict_and_state_dict():
    head = make_head().eval()
    other = make_head().eval()
    other.load_state_dict(head.state_dict())
    x = maps()
    with torch.no_grad():
        first, second = (h.predict_by_feat(*h(x), batch_img_metas=METAS) for h in (head, other))
    for a, b in zip(first, second, strict=True):
        assert len(a.bboxes) and torch.equal(a.bboxes, b.bboxes)
        assert a.bboxes.min() >= 0 and a.bboxes.max() <= 32


def load(d: int) -> Config:
    return Config.fromfile(
        CONFIGS / 'efficientdet' / f'efficientdet-d{d}_{"" if d else "adamw_"}ccd.py'
    )


def parameters(model) -> dict[str, int]:
    """Parameters of each part."""
    model.bbox_head.num_classes = 90
    parts = {name: MODELS.build(model[name]) for name in ('backbone', 'neck', 'bbox_head')}
    return {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}


@pytest.mark.parametrize('d', TABLE_1)
def test_each_config_is_its_row_of_table_1(d):
    cfg = load(d)
    arch, channels, cells, layers, size = TABLE_1[d]
    model = cfg.model
    assert model.backbone.arch == arch
    assert f'-{arch}_' in model.backbone.init_cfg.checkpoint
    assert (model.neck.out_channels, model.neck.num_cells) == (channels, cells)
    assert (model.bbox_head.in_channels, model.bbox_head.num_convs) == (channels, layers)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        steps = [step for step in loader.dataset.pipeline if step.type == 'Resize']
        assert [step.scale for step in steps] == [(size, size)]
    number = sum(parameters(model).values()) / 1e6
    # the paper gives two digits
    assert number == pytest.approx(PARAMETERS[d], abs=0.05 if d < 3 else 0.9)


def test_d0_has_the_parameters_of_the_published_one():
    """3.88 million, part by part: EfficientNet-B0 has 5,288,548 with its last two layers."""
    counts = parameters(load(0).model)
    assert counts == dict(backbone=3_595_388, neck=196_281, bbox_head=88_398)
    assert sum(counts.values()) == 3_880_067


def test_errors():
    with pytest.raises(ConfigError, match='num_convs'):
        make_head(num_convs=-1)
