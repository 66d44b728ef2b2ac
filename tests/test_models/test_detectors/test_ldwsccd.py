import copy

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import ExponentialMovingAverage

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.losses import LogitDistillationLoss
from tests.test_models.helpers import predict_cfg, sample, samples, train_cfg
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    student_cfg,
    teacher_model_cfg,
)

SSD_KEYS = {'loss_cls', 'loss_bbox'}
LDM_KEYS = {'loss_distill_fg', 'loss_distill_bg', 'loss_distill_attention'}
MIL_KEYS = {'loss_mil', 'loss_refine_1', 'loss_refine_2'}
ROWS = [(False, False), (True, False), (False, True), (True, True)]


def images(n=3):
    return torch.randn(n, 3, 64, 64) * 50


@pytest.mark.parametrize(('ldm', 'mil'), ROWS)
@pytest.mark.parametrize(
    'batch',
    [samples(), samples()[:1], [sample([], [])], [sample([], []), sample([], [])]],
    ids=['mixed', 'single', 'no box', 'no box in the batch'],
)
def test_rows_of_table_4(build, ldm, mil, batch):
    """Each row's loss is finite and reaches every parameter: no search for unused ones."""
    model = build(ldm, mil)
    model.init_weights()
    losses = model.loss(images(len(batch)), batch)
    assert set(losses) == SSD_KEYS | (LDM_KEYS if ldm else set()) | (MIL_KEYS if mil else set())
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(('ldm', 'mil'), ROWS)
@pytest.mark.parametrize('source', ['ssd', 'mil', 'fused'])
def test_predict(build, ldm, mil, source):
    model = build(ldm, mil, test_cfg=predict_cfg(score_source=source)).eval()
    if source != 'ssd' and not mil:
        with pytest.raises(ConfigError, match='score_source: .* needs model.mil_head'):
            model.predict(images(), samples())
        return
    for result in model.predict(images(), samples()):
        pred = result.pred_instances
        assert len(pred.bboxes) == len(pred.scores) == len(pred.labels) <= 50
        assert (pred.scores.diff() <= 0).all()
        if len(pred):
            assert 0 <= pred.bboxes.min() <= pred.bboxes.max() <= 128
    assert model._teacher is None  # testing needs no teacher


def test_unknown_score_source(build):
    model = build(test_cfg=predict_cfg(score_source='teacher')).eval()
    with pytest.raises(ConfigError, match="score_source: expected one of .* found 'teacher'"):
        model.predict(images(), samples())


def test_fused_score_is_the_geometric_mean(build):
    cfg = predict_cfg(score_source='fused', nms=dict(type='nms', iou_threshold=1.0), score_thr=0.0)
    cfg.update(max_per_img=1000, min_bbox_size=-1)
    model = build(ldm=False, test_cfg=cfg).eval()
    x, meta = images(1), samples()[:1]
    feats = model.extract_feat(x)
    region = model.bbox_head.propose(
        *model.bbox_head(feats), batch_img_metas=[meta[0].metainfo], cfg=cfg['proposal']
    )[0]
    mil = model.mil_head.predict(feats, [region.bboxes], [meta[0].metainfo])[0].class_probs
    expected = (region.class_probs * mil).sqrt()[:, :-1].flatten().sort(descending=True).values
    pred = model.predict(x, meta)[0].pred_instances
    torch.testing.assert_close(pred.scores, expected)


def test_plain_ssd_equals_mmdets_detector(build):
    """Without parts the code path is mmdet's own."""
    model = build(False, False)
    plain = MODELS.build(student_cfg(type='SingleStageDetector'))
    plain.load_state_dict(model.state_dict())
    x = images()
    assert model.loss(x, samples()) == plain.loss(x, samples())
    model.eval()
    plain.eval()
    for a, b in zip(model.predict(x, samples()), plain.predict(x, samples()), strict=True):
        torch.testing.assert_close(a.pred_instances.bboxes, b.pred_instances.bboxes)


def test_plain_ssd_loads_the_checkpoint_with_nothing_missing(build):
    model = build()
    model.init_weights()
    plain = MODELS.build(student_cfg(type='SingleStageDetector'))
    result = plain.load_state_dict(model.state_dict(), strict=False)
    assert result.missing_keys == []
    assert {key.split('.')[0] for key in result.unexpected_keys} == {'distillation', 'mil_head'}


def test_teacher_is_outside_state_parameters_modules_and_copies(build):
    model = build()
    names = set(model.state_dict())
    model.init_weights()
    teacher = model.teacher.model
    assert set(model.state_dict()) == names
    owned = {id(p) for p in teacher.parameters()}
    assert not owned & {id(p) for p in model.parameters()}
    assert teacher not in set(model.modules())
    assert not any('teacher' in name for name in names)
    ema = ExponentialMovingAverage(model)
    assert ema.module.teacher is model.teacher  # shared, not copied
    assert copy.deepcopy(model).teacher is model.teacher


def test_teacher_stays_in_eval_and_without_gradient(build):
    model = build()
    model.init_weights()
    model.train()
    before = {k: v.clone() for k, v in model.teacher.model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.parse_losses(model.loss(images(), samples()))[0].backward()
    optimizer.step()
    assert not model.teacher.model.training
    assert all(p.grad is None for p in model.teacher.model.parameters())
    after = model.teacher.model.state_dict()
    assert all(torch.equal(v, after[k]) for k, v in before.items())


def test_teacher_follows_the_student(build):
    model = build()
    model.init_weights()
    model.double()
    assert {p.dtype for p in model.teacher.model.parameters()} == {torch.float64}
    model.to(torch.device('meta'))
    assert {p.device.type for p in model.teacher.model.parameters()} == {'meta'}


@pytest.mark.parametrize('weight', [0.25, 0.0])
def test_distillation_weight(build, monkeypatch, weight):
    """It scales the three losses; at 0 no teacher runs, and each parameter has its gradient."""
    model = build(mil=False)
    x = images()
    full = model.loss(x, samples())
    model.distillation_weight = weight
    if weight == 0:
        monkeypatch.setattr(model.teacher.model, 'extract_feat', None)
    losses = model.loss(x, samples())
    for name in SSD_KEYS | LDM_KEYS:
        expected = full[name] * (weight if name in LDM_KEYS else 1)
        torch.testing.assert_close(losses[name], expected)
    model.parse_losses(losses)[0].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


LOGITS = dict(type='LogitDistillationLoss', loss_weight=0.5, temperature=2.0)


@pytest.mark.parametrize('mil', [False, True])
def test_logits_teach_as_one_more_term(build, monkeypatch, mil):
    """The other losses stay as they are, the teacher runs once, and so does the student's head."""
    model = build(mil=mil, logit_distillation=LOGITS)
    plain = build(mil=mil)
    plain.load_state_dict(model.state_dict())
    x, batch = images(), samples()
    torch.manual_seed(0)  # the MIL head drops out
    expected = plain.loss(x, batch)
    model.loss(x, batch)  # the levels are paired on the first image alone
    calls = []
    for name, head in (('teacher', model.teacher), ('head', model.bbox_head)):
        method = 'extract_feat' if name == 'teacher' else 'forward'
        original = getattr(head, method)
        monkeypatch.setattr(
            head, method, lambda *a, n=name, o=original: (calls.append(n), o(*a))[1]
        )
    torch.manual_seed(0)
    found = model.loss(x, batch)
    assert sorted(calls) == ['head', 'teacher']
    assert set(found) == set(expected) | {'loss_distill_logits'}
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)

    teacher = model.teacher.model
    ours = model.bbox_head(model.extract_feat(x))[0]
    theirs = teacher.bbox_head(model.teacher.extract_feat(x))[0]
    flat = model.bbox_head.flat_logits
    loss = LogitDistillationLoss(0.5, 2.0)(flat(ours), flat(theirs))
    torch.testing.assert_close(found['loss_distill_logits'], loss)
    total, _ = model.parse_losses(found)
    total.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []

    model.distillation_weight = 0.0
    assert model.loss(x, batch)['loss_distill_logits'] == 0


def other_teacher(tmp_path, edit):
    config = teacher_model_cfg()
    edit(config)
    return zoo.save(config, tmp_path, classes=None)


@pytest.mark.parametrize(
    ('edit', 'text'),
    [
        (lambda c: c.bbox_head.update(num_classes=2), 'found 2 of the teacher and 3 of the stud'),
        (
            lambda c: c.bbox_head.anchor_generator.update(ratios=[[2, 3], [2], [2, 3]]),
            'priors a level of the teacher',
        ),
        (
            lambda c: c.bbox_head.anchor_generator.update(min_sizes=[11, 24, 44]),
            'found none that are equal in number, place and size',
        ),
    ],
    ids=['classes', 'number', 'size'],
)
def test_logits_of_other_priors_or_classes_are_refused(build, tmp_path, edit, text):
    teacher = other_teacher(tmp_path, edit)
    model = build(mil=False, teacher=teacher, logit_distillation=LOGITS)
    with pytest.raises(ConfigError, match=f'model.logit_distillation: .*{text}'):
        model.loss(images(), samples())


@pytest.mark.parametrize(
    ('settings', 'levels'),
    [(dict(ratios=[[2, 3], [2, 3], [2]]), [1, 2]), (dict(min_sizes=[10, 24, 40]), [0, 2])],
    ids=['number', 'size'],
)
def test_levels_of_other_priors_teach_no_logits(build, tmp_path, settings, levels):
    teacher = other_teacher(tmp_path, lambda c: c.bbox_head.anchor_generator.update(settings))
    model = build(mil=False, teacher=teacher, logit_distillation=LOGITS)
    x = images()
    loss = model.loss(x, samples())['loss_distill_logits']
    ours = model.bbox_head(model.extract_feat(x))[0]
    theirs = model.teacher.class_scores(model.teacher.extract_feat(x))
    flat = [
        model.bbox_head.flat_logits([scores[level] for level in levels])
        for scores in (ours, theirs)
    ]
    torch.testing.assert_close(loss, LogitDistillationLoss(0.5, 2.0)(*flat))


def test_logits_of_other_heads_are_refused(build, tmp_path):
    with pytest.raises(ConfigError, match='expected model.teacher and a bbox_head .* found none'):
        build(ldm=False, logit_distillation=LOGITS)
    teacher = zoo.save(zoo.retinanet(), tmp_path)
    distillation = distillation_cfg(teacher_channels=(16,) * 3)
    model = build(teacher=teacher, distillation=distillation, logit_distillation=LOGITS)
    with pytest.raises(ConfigError, match='an SSD head, found RetinaNet with RetinaHead'):
        model.loss(images(), samples())
    config = zoo.faster_rcnn().model
    config.update(
        type='LDWSCCDTwoStage',
        teacher=teacher,
        distillation=dict(
            type='LocalDistillationLoss', student_channels=(16,) * 3, teacher_channels=(16,) * 3
        ),
        logit_distillation=LOGITS,
    )
    with pytest.raises(ConfigError, match='a bbox_head of type SSDStudentHead, found NoneType'):
        MODELS.build(config)


def test_features_are_computed_once(build, monkeypatch):
    model = build()
    calls = []
    original = model.backbone.forward
    monkeypatch.setattr(model.backbone, 'forward', lambda x: (calls.append(len(x)), original(x))[1])
    model.loss(images(), samples())
    assert calls == [3]


def test_no_gradient_from_the_mil_head_through_its_proposals(build):
    """The MIL loss teaches the features, but moves no box of the SSD head."""
    model = build(ldm=False)
    losses = model.loss(images(), samples())
    sum(losses[key] for key in MIL_KEYS).backward()
    assert all(p.grad is None for p in model.bbox_head.parameters())
    assert any(p.grad.abs().sum() > 0 for p in model.backbone.parameters() if p.grad is not None)


def test_state_dict_round_trip(build):
    model, other = build().eval(), build().eval()
    other.load_state_dict(model.state_dict())
    x = images()
    for a, b in zip(model.predict(x, samples()), other.predict(x, samples()), strict=True):
        torch.testing.assert_close(a.pred_instances.scores, b.pred_instances.scores)


def test_tensor_mode_and_autocast(build):
    model = build()
    model.init_weights()
    assert len(model(images(), mode='tensor')) == 2
    with torch.autocast('cpu', torch.bfloat16):
        losses = model.loss(images(), samples())
    assert all(torch.isfinite(v).all() and v.dtype == torch.float32 for v in losses.values())


@pytest.mark.parametrize(('ldm', 'mil'), ROWS)
def test_non_finite_features_name_their_losses(build, ldm, mil):
    model = build(ldm, mil)
    x = images()
    x[0, 0, 0, 0] = float('nan')
    name = 'loss_distill_fg' if ldm and not mil else 'loss_cls'
    with pytest.raises(FloatingPointError, match=f'non-finite loss: .*{name} = nan'):
        model.loss(x, samples())


@pytest.mark.parametrize('mil', [False, True])
def test_teacher_whose_maps_are_not_finite_is_named(build, mil):
    model = build(True, mil)
    for parameter in model.teacher.model.backbone.parameters():
        parameter.data.fill_(1e30)
    with pytest.raises(FloatingPointError, match='model.teacher: the maps of the teacher .*pth'):
        model.loss(images(), samples())


@pytest.mark.parametrize('value', ['nan', 'inf'])
def test_non_finite_loss_of_one_part_is_named_alone(build, value):
    model = build()
    model.mil_head.loss_weight['refine'] = [float(value)] * model.mil_head.num_stages
    with pytest.raises(FloatingPointError) as info:
        model.loss(images(1), samples()[:1])
    assert 'loss_refine_1' in str(info.value)
    assert 'loss_cls' not in str(info.value)


@pytest.mark.parametrize(
    ('parts', 'message'),
    [
        (dict(teacher=dict(config='a', checkpoint='b')), 'model.distillation: expected a dict'),
        (dict(distillation=distillation_cfg()), 'model.teacher: expected a dict'),
        (
            dict(teacher=dict(config='a'), distillation=distillation_cfg()),
            r"expected dict\(config=..., checkpoint=...\), .* found the keys \['config'\]",
        ),
        (dict(mil_head=mil_cfg(num_classes=5)), 'mil_head.num_classes: expected 3 .* found 5'),
        (
            dict(mil_head=mil_cfg(), train_cfg={**train_cfg(), 'proposal': None}),
            'model.train_cfg.proposal: expected',
        ),
    ],
)
def test_bad_settings(parts, message):
    cfg = student_cfg(**parts)
    if 'train_cfg' in parts:
        del cfg.train_cfg['proposal']
    with pytest.raises(ConfigError, match=message):
        MODELS.build(cfg)


def test_teacher_errors_come_with_init_weights(build):
    model = build(teacher=dict(config='nowhere.py', checkpoint='x.pth'))
    with pytest.raises(ConfigError, match='nowhere.py'):
        model.init_weights()


def test_maps_that_rounding_made_unlike_are_one_level(build, teacher):
    model = build(
        mil=False,
        distillation=distillation_cfg(student_channels=(8, 16), teacher_channels=(16, 32)),
    )
    model.init_weights()
    model.teacher.model.neck = None
    model.teacher.model.backbone.forward = lambda x: (
        torch.randn(3, 16, 8, 8),
        torch.randn(3, 32, 5, 5),
    )
    losses = model.loss(images(), samples())
    assert losses['loss_distill_fg'].isfinite() and losses['loss_distill_fg'] > 0
