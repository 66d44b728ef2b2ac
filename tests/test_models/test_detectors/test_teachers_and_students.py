"""mmdet's detectors as teachers of an SSD, and as students."""

import pytest
import torch
from mmdet.registry import MODELS

from ldwsccd_mmdet.errors import ConfigError
from tests.test_models.helpers import NUM_CLASSES, sample, samples
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import (
    distillation_cfg,
    mil_cfg,
    teacher_model_cfg,
)

LDM_KEYS = {'loss_distill_fg', 'loss_distill_bg', 'loss_distill_attention'}
ALIGNED = ((0, 0), (1, 1), (2, 2))


def images(n=3):
    return torch.randn(n, 3, 64, 64) * 50


def step(model, batch):
    """One loss and its gradients; every parameter that is trained gets one."""
    losses = model.loss(images(len(batch)), batch)
    total, _ = model.parse_losses(losses)
    assert torch.isfinite(total)
    total.backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    return losses


@pytest.mark.parametrize(
    ('teacher', 'channels', 'pairs'),
    [
        (zoo.retinanet, (16, 16, 16), ALIGNED),
        (zoo.faster_rcnn, (16, 16, 16), ((0, 1), (1, 2), (2, 3))),
        (zoo.yolox, (16, 16, 16), ALIGNED),
        (zoo.rtmdet, (16, 16, 16), ALIGNED),
        (teacher_model_cfg, (16, 32, 8), ALIGNED),
    ],
    ids=['RetinaNet', 'Faster R-CNN', 'YOLOX', 'RTMDet', 'wider SSD'],
)
def test_teachers_of_an_ssd(tmp_path, build, teacher, channels, pairs):
    """Any detector with maps of the student's strides teaches it, in its own normalisation."""
    config = teacher()
    files = zoo.save(config, tmp_path)
    model = build(
        mil=False, teacher=files, distillation=distillation_cfg(teacher_channels=channels)
    )
    losses = step(model, samples())
    assert losses['loss_distill_fg'] > 0
    assert model.level_pairs == pairs
    assert model.teacher.classes == ('lsil', 'hsil', 'scc')
    assert model.teacher.num_classes == NUM_CLASSES
    assert model.teacher.missing_keys == []

    raw = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    alone = MODELS.build(config.get('model', config)).eval()
    alone.load_state_dict(torch.load(files['checkpoint'], weights_only=True)['state_dict'])
    data = dict(inputs=[raw], data_samples=None)
    with torch.no_grad():
        expected = alone.extract_feat(alone.data_preprocessor(data)['inputs'])
    found = model.teacher.extract_feat(
        model.data_preprocessor(dict(inputs=[raw], data_samples=None))['inputs']
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.fixture
def student(tmp_path):
    """``student(config, ldm, mil)``: a detector of the zoo, taught by a wider RetinaNet."""
    teacher = zoo.retinanet()
    teacher.model.neck.out_channels = teacher.model.bbox_head.in_channels = 24
    files = zoo.save(teacher, tmp_path)

    def make(config, ldm=True, mil=False, **kwargs):
        model = config.model
        two_stage = 'roi_head' in model
        model.type = 'LDWSCCDTwoStage' if two_stage else 'LDWSCCD'
        if ldm:
            model.teacher = files
            model.distillation = dict(
                type='LocalDistillationLoss', student_channels=(16,) * 3, teacher_channels=(24,) * 3
            )
        if mil:
            model.mil_head = mil_cfg()
            model.mil_head.bbox_roi_extractor.update(
                out_channels=16, featmap_strides=[4, 8] if two_stage else [8, 16]
            )
            model.train_cfg.proposal = dict(max_per_img=20)
        model.update(kwargs)
        built = MODELS.build(model)
        built.init_weights()
        return built

    return make


def predict(model):
    model.eval()
    with torch.no_grad():
        results = model.predict(images(), samples())
    assert all(torch.isfinite(result.pred_instances.bboxes).all() for result in results)


@pytest.mark.parametrize('batch', [samples(), samples()[2:]], ids=['mixed', 'no box'])
def test_retinanet_student(student, batch):
    model = student(zoo.retinanet())
    assert set(step(model, batch)) == LDM_KEYS | {'loss_cls', 'loss_bbox'}
    assert model.level_pairs == ALIGNED
    predict(model)


def test_retinanet_has_no_proposals_for_the_mil_head(student):
    with pytest.raises(ConfigError, match='expected a head with proposals .* found RetinaHead'):
        student(zoo.retinanet(), mil=True)


@pytest.mark.parametrize(('ldm', 'mil'), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize('batch', [samples(), samples()[2:]], ids=['mixed', 'no box'])
def test_faster_rcnn_student(student, monkeypatch, ldm, mil, batch):
    """Maps and RPN are computed once; every part teaches."""
    model = student(zoo.faster_rcnn(), ldm, mil)
    calls = []
    for name in ('backbone', 'rpn_head'):
        part = getattr(model, name)
        original = part.forward
        monkeypatch.setattr(
            part,
            'forward',
            lambda x, name=name, original=original: (calls.append(name), original(x))[1],
        )
    losses = step(model, batch)
    assert sorted(calls) == ['backbone', 'rpn_head']
    expected = {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox'}
    expected |= LDM_KEYS if ldm else set()
    expected |= {'loss_mil', 'loss_refine_1', 'loss_refine_2'} if mil else set()
    assert set(losses) == expected
    if ldm:
        assert model.level_pairs == ((1, 0), (2, 1), (3, 2))
    predict(model)


def test_two_stage_losses_are_mmdets_own(student):
    """Without parts, from the same maps: the losses of ``TwoStageDetector.loss``."""
    model = student(zoo.faster_rcnn(), ldm=False)
    plain_cfg = zoo.faster_rcnn().model
    plain = MODELS.build(plain_cfg)
    plain.load_state_dict(model.state_dict())
    x = images()
    torch.manual_seed(1)
    found = model.loss(x, samples())
    torch.manual_seed(1)
    expected = plain.loss(x, samples())
    assert set(found) == set(expected)
    for name, loss in expected.items():
        assert torch.equal(torch.as_tensor(found[name]), torch.as_tensor(loss)), name


def ignoring(config):
    """A config whose assigners leave boxes to be ignored out."""
    settings = config.model.train_cfg
    parts = (settings.rpn, settings.rcnn) if 'rpn' in settings else (settings,)
    for part in parts:
        part.assigner.ignore_iof_thr = 0.5
    return config


def one_image(probs=None, ignored=()):
    """Two boxes in an image; the second one is mined, left out, or to be ignored."""
    boxes = [[4.0, 4.0, 28.0, 28.0], [33.0, 31.0, 57.0, 59.0]]
    if ignored or probs == ():
        boxes = boxes[:1]
    result = sample(boxes, [0, 1][: len(boxes)])
    if probs:
        result.gt_instances.probs = torch.tensor([1.0, *probs])
    result.ignored_instances = sample(list(ignored), [1] * len(ignored)).gt_instances
    return [result]


@pytest.mark.parametrize('mil', [False, True])
@pytest.mark.parametrize('build', [zoo.faster_rcnn, zoo.retinanet])
def test_students_of_mmdet_learn_mined_boxes(student, build, mil):
    """From 0.5 on as any box; below it is neither cell nor background."""
    if mil and build is zoo.retinanet:
        pytest.skip('RetinaNet has no proposals')
    model = student(ignoring(build()), ldm=False, mil=mil)
    x = images(1)

    def losses(batch):
        torch.manual_seed(1)  # of the samplers
        found = model.loss(x, batch)
        mine = [name for name in found if not name.startswith(('loss_mil', 'loss_refine', 'acc'))]
        return torch.stack([torch.as_tensor(model.parse_losses({n: found[n]})[0]) for n in mine])

    given, absent = losses(one_image()), losses(one_image(()))
    ignored = losses(one_image(ignored=[[33.0, 31.0, 57.0, 59.0]]))
    for prob in (0.5, 0.7, 0.95):
        assert torch.equal(losses(one_image((prob,))), given)
    for prob in (0.05, 0.49):
        assert torch.equal(losses(one_image((prob,))), ignored)
    # the box matters, and ignoring it is not what leaving it out is
    assert not torch.equal(given, ignored) and not torch.equal(ignored, absent)


@pytest.mark.parametrize(
    ('build', 'keys'),
    [
        (zoo.faster_rcnn, 'rpn.assigner.ignore_iof_thr and model.train_cfg.rcnn.assigner.'),
        (zoo.retinanet, 'assigner.ignore_iof_thr: '),
    ],
)
def test_assigners_that_ignore_nothing_are_refused(student, build, keys):
    """mmdet's default, -1, would teach that what may be a cell is background."""
    model = student(build(), ldm=False)
    model.loss(images(1), one_image())  # without mined boxes nothing is asked
    with pytest.raises(ConfigError, match=rf'model.train_cfg.{keys}.*--cfg-options'):
        model.loss(images(1), one_image((0.3,)))


def test_mil_regions_are_the_best_of_the_rpn(student):
    model = student(zoo.faster_rcnn(), ldm=False, mil=True)
    feats = model.extract_feat(images())
    _, regions = model.student_forward(feats, samples())
    proposals = model.rpn_head.predict(feats, samples(), rescale=False)
    for region, proposal in zip(regions, proposals, strict=True):
        assert len(region.bboxes) == 20
        torch.testing.assert_close(region.bboxes, proposal.bboxes[:20])
        assert not region.bboxes.requires_grad


def test_two_stage_settings(student):
    faster = zoo.faster_rcnn()
    faster.model.test_cfg.score_source = 'mil'
    with pytest.raises(ConfigError, match="score_source: 'mil' is for a single-stage student"):
        student(faster)
    with pytest.raises(ConfigError, match='model.rpn_head: expected a head that proposes'):
        student(zoo.faster_rcnn(), mil=True, rpn_head=None)
