"""What may teach: boxes, image labels, or either."""

import copy

import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.models.detectors.supervision import Supervision
from tests.test_models.helpers import sample
from tests.test_models.test_detectors import zoo
from tests.test_models.test_detectors.conftest import mil_cfg

CPU = torch.device('cpu')


@pytest.fixture(autouse=True)
def iteration():
    """``iteration(n)``: the runner is at iteration n; 1000 unless it is called."""
    hub = MessageHub.get_current_instance()

    def at(n):
        hub.update_info('iter', n)

    at(1000)
    yield at
    hub.pop_info('iter')


def images(n=3):
    return torch.randn(n, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 50


def batch():
    """One image with boxes; one with labels alone, whose boxes are there to be ignored; one bare.

    Their image labels are (0, 2), (1,) and (2,).
    """
    out = [
        sample([[4, 4, 24, 24], [30, 10, 60, 50]], [0, 2]),
        sample([[10, 20, 20, 30]], [1]),
        sample([], []),
    ]
    for one, supervision, labels in zip(
        out, ('box', 'image', 'image'), ((0, 2), (1,), (2,)), strict=True
    ):
        one.set_metainfo(dict(supervision=supervision, image_labels=labels))
    return out


def found(*per_image):
    """Pseudo-boxes: per image a list of (x1, y1, x2, y2, label, score)."""
    rows = [torch.tensor(image, dtype=torch.float32).view(-1, 6) for image in per_image]
    return [InstanceData(bboxes=r[:, :4], labels=r[:, 4].long(), scores=r[:, 5]) for r in rows]


PSEUDO = found(
    [(5, 5, 25, 25, 0, 0.9), (40, 40, 60, 60, 2, 0.8), (0, 40, 9, 60, 0, 0.3)],
    [(11, 20, 21, 30, 1, 0.9)],
    [(1, 1, 11, 11, 2, 0.7)],
)


@pytest.mark.parametrize(
    ('regime', 'by_labels', 'classes'),
    [
        ('box', [False, False, False], [[1, 0, 1], [0, 1, 0], [0, 0, 0]]),
        ('image', [True, True, True], [[1, 0, 1], [0, 1, 0], [0, 0, 1]]),
        ('mixed', [False, True, True], [[1, 0, 1], [0, 1, 0], [0, 0, 1]]),
    ],
)
def test_who_teaches(regime, by_labels, classes):
    supervision = Supervision(regime)
    samples = batch()
    assert [supervision.by_image_labels(s) for s in samples] == by_labels
    known = supervision.known(samples, CPU)
    counts = [len(k) for k in known]
    assert counts == [0 if alone else n for alone, n in zip(by_labels, (2, 1, 0), strict=True)]
    assert supervision.image_labels(samples, known, 3, CPU).tolist() == classes


def test_image_labels_add_to_the_classes_of_the_boxes_where_boxes_may_be_missing():
    one = sample([[4, 4, 24, 24]], [0])
    one.set_metainfo(dict(supervision='box', image_labels=(0, 1)))
    for regime, classes in (('box', [[1, 0, 0]]), ('mixed', [[1, 1, 0]])):
        supervision = Supervision(regime)
        known = supervision.known([one], CPU)
        assert supervision.image_labels([one], known, 3, CPU).tolist() == classes


def test_a_negative_image_of_a_mixed_set():
    """No box and no class: a negative bag in any regime."""
    one = sample([], [])
    one.set_metainfo(dict(supervision='image', image_labels=()))
    for regime in ('image', 'mixed'):
        supervision = Supervision(regime)
        known = supervision.known([one], CPU)
        assert supervision.image_labels([one], known, 3, CPU).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize('regime', ['image', 'mixed'])
def test_missing_image_labels_are_one_clear_error(regime):
    one = sample([[4, 4, 24, 24]], [0])
    one.set_metainfo(dict(supervision='image'))
    supervision = Supervision(regime)
    with pytest.raises(DatasetError, match=f"x.png: expected image_labels.*'{regime}'.*PackCell"):
        supervision.image_labels([one], supervision.known([one], CPU), 3, CPU)


def test_student_learns_from_boxes_or_pseudo_boxes():
    samples = batch()
    supervision = Supervision('mixed')
    known = supervision.known(samples, CPU)
    cold = supervision.student_samples(samples, known, None, 0.5)
    assert [len(s.gt_instances) for s in cold] == [2, 0, 0]
    warm = supervision.student_samples(samples, known, PSEUDO, 0.5)
    assert warm[0].gt_instances.bboxes.tolist() == samples[0].gt_instances.bboxes.tolist()
    assert warm[1].gt_instances.bboxes.tolist() == PSEUDO[1].bboxes.tolist()
    assert warm[1].gt_instances.labels.tolist() == [1]
    assert warm[1].metainfo == samples[1].metainfo
    assert len(samples[1].gt_instances) == 1  # the batch is left as it was
    assert Supervision('box').student_samples(samples, known, None, 0.5) is samples


@pytest.mark.parametrize(
    ('source', 'expected'),
    [('gt', [2, 1, 1]), ('mil', [3, 1, 1]), ('both', [5, 1, 1])],
)
def test_boxes_of_the_mask(source, expected):
    samples = batch()
    supervision = Supervision('mixed', mask_source=source)
    known = supervision.known(samples, CPU)
    bboxes = supervision.mask_bboxes(samples, known, PSEUDO)
    assert [len(b) for b in bboxes] == expected
    assert torch.equal(bboxes[1], PSEUDO[1].bboxes)
    cold = supervision.mask_bboxes(samples, known, None)
    assert [len(b) for b in cold] == [0 if source == 'mil' else 2, 0, 0]


def test_mined_boxes_are_ignored_where_no_box_accounts_for_them():
    """Of three pseudo-boxes one lies on a box, one scores too low."""
    samples = batch()
    samples[0].ignored_instances = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 5, 5]]), labels=torch.tensor([1])
    )
    for regime in ('box', 'mixed'):
        supervision = Supervision(regime, ignore_mined_negatives=True, mined_score=0.5)
        known = supervision.known(samples, CPU)
        seen = supervision.student_samples(samples, known, PSEUDO, 0.5)
        assert seen[0].ignored_instances.bboxes.tolist() == [[0, 0, 5, 5], [40, 40, 60, 60]]
        assert torch.equal(seen[0].gt_instances.bboxes, samples[0].gt_instances.bboxes)
        assert 'ignored_instances' not in seen[1]  # on its box, or itself the label


@pytest.mark.parametrize('given', [False, True])
def test_mined_negatives_are_ignored_if_asked_for(build, given):
    kwargs = dict(supervision=dict(ignore_mined_negatives=True)) if given else {}
    model = build(mil_head=mil_cfg(), **kwargs)
    assert model.supervision.ignore_mined_negatives is given


def test_classes_of_boxes_that_may_be_cells():
    samples = [DetDataSample(metainfo={}) for _ in range(2)]
    samples[0].gt_instances = InstanceData(
        bboxes=torch.rand(4, 4),
        labels=torch.tensor([0, 1, 1, 2]),
        probs=torch.tensor([1.0, 0.5, 0.2, 0.1]),
    )
    samples[1].gt_instances = InstanceData(bboxes=torch.rand(1, 4), labels=torch.tensor([1]))
    supervision = Supervision()
    known = supervision.known(samples, CPU)
    classes = supervision.image_labels(samples, known, 3, CPU)
    # 1 - (1 - 0.5) (1 - 0.2)
    torch.testing.assert_close(classes, torch.tensor([[1, 0.6, 0.1], [0, 1, 0]]))
    assert [len(boxes) for boxes in supervision.mask_bboxes(samples, known, None)] == [2, 1]


def test_warm_up_counts_the_runners_iterations(iteration):
    supervision = Supervision('image', pseudo_warmup=10)
    for n, warm in ((0, False), (9, False), (10, True), (500, True)):
        iteration(n)
        assert supervision.is_warm == warm
    MessageHub.get_current_instance().pop_info('iter')
    assert not supervision.is_warm
    iteration(0)


REGIMES = [
    dict(regime='image'),
    dict(regime='image', mask_source='both', ignore_mined_negatives=True),
    dict(regime='mixed', mask_source='mil'),
    dict(regime='mixed', ignore_mined_negatives=True, mined_score=0.0),
    dict(regime='box', mask_source='both', ignore_mined_negatives=True, mined_score=0.0),
]


def step(model, samples):
    """Losses and gradients of one step, dropout and all the same each time."""
    model.zero_grad()
    torch.manual_seed(0)
    losses = model.loss(images(len(samples)), samples)
    total, _ = model.parse_losses(losses)
    total.backward()
    return losses, {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize('warmup', [0, 10**6], ids=['warm', 'cold'])
@pytest.mark.parametrize('kwargs', REGIMES)
def test_one_step_of_each_regime(build, kwargs, warmup):
    """Finite, and a gradient for every parameter: no search for unused ones."""
    model = build(supervision=dict(kwargs, pseudo_warmup=warmup))
    model.init_weights()
    losses, grads = step(model, batch())
    assert all(torch.isfinite(value) for value in losses.values())
    assert [name for name, grad in grads.items() if grad is None] == []
    learns = losses['loss_cls'] > 0
    assert learns == (kwargs['regime'] != 'image' or warmup == 0)


@pytest.mark.parametrize('warmup', [0, 10**6], ids=['warm', 'cold'])
@pytest.mark.parametrize('kwargs', REGIMES[:2])
def test_no_box_leaks_where_image_labels_teach(build, kwargs, warmup):
    """Other boxes, other classes, none at all: the same losses and the same gradients."""
    model = build(supervision=dict(kwargs, pseudo_warmup=warmup))
    model.init_weights()
    samples = batch()
    moved = batch()
    for one in moved:
        one.gt_instances = InstanceData(
            bboxes=torch.tensor([[1.0, 2, 30, 40], [20, 20, 60, 60], [5, 50, 12, 60]]),
            labels=torch.tensor([2, 2, 1]),
        )
    bare = batch()
    for one in bare:
        del one.gt_instances
    losses, grads = step(model, samples)
    for other in (moved, bare):
        other_losses, other_grads = step(model, other)
        assert all(torch.equal(losses[key], other_losses[key]) for key in losses)
        assert all(torch.equal(grads[key], other_grads[key]) for key in grads)
    # and the test can fail: with boxes it does matter where they are
    by_boxes = build()
    by_boxes.init_weights()
    assert not torch.equal(
        step(by_boxes, samples)[0]['loss_cls'], step(by_boxes, moved)[0]['loss_cls']
    )


def test_no_box_of_an_image_without_leave_leaks_in_a_mixed_set(build):
    model = build(supervision=dict(regime='mixed', mask_source='both', pseudo_warmup=0))
    model.init_weights()
    samples, moved = batch(), batch()
    moved[1].gt_instances.bboxes += 17
    moved[1].gt_instances.labels[:] = 2
    (losses, grads), (other, other_grads) = step(model, samples), step(model, moved)
    assert all(torch.equal(losses[key], other[key]) for key in losses)
    assert all(torch.equal(grads[key], other_grads[key]) for key in grads)
    moved[0].gt_instances.bboxes += 3
    assert not torch.equal(losses['loss_bbox'], step(model, moved)[0]['loss_bbox'])


def test_nothing_runs_twice(build, monkeypatch):
    """Backbone, head, RoI layer and teacher: one pass each, pseudo-boxes or not."""
    model = build(supervision=dict(regime='mixed', mask_source='both', pseudo_warmup=0))
    model.init_weights()
    step(model, batch())  # pairs the levels of student and teacher
    calls = []
    for name, part in (
        ('backbone', model.backbone),
        ('bbox_head', model.bbox_head),
        ('mil_head', model.mil_head),
        ('rois', model.mil_head.bbox_roi_extractor),
        ('teacher', model.teacher.folded.backbone),
    ):
        forward = part.forward
        monkeypatch.setattr(
            part,
            'forward',
            lambda *args, _name=name, _forward=forward: (calls.append(_name), _forward(*args))[1],
        )
    step(model, batch())
    assert sorted(calls) == ['backbone', 'bbox_head', 'mil_head', 'rois', 'teacher']


def test_pseudo_boxes_teach_the_ssd_head(build, monkeypatch):
    """With the truth as pseudo-boxes, image labels teach what boxes teach."""
    by_boxes = build(ldm=False)
    by_labels = build(ldm=False, supervision=dict(regime='image', pseudo_warmup=0))
    by_labels.load_state_dict(by_boxes.state_dict())
    samples = batch()
    truth = [
        InstanceData(bboxes=s.gt_instances.bboxes, labels=s.gt_instances.labels) for s in samples
    ]
    monkeypatch.setattr(by_labels.mil_head, 'pseudo_boxes', lambda *_: truth)
    expected, losses = step(by_boxes, samples)[0], step(by_labels, samples)[0]
    for key in ('loss_cls', 'loss_bbox'):
        assert expected[key] > 0
        assert torch.equal(losses[key], expected[key])


def test_mined_boxes_leave_the_hard_negatives(build, monkeypatch):
    """A prior on an unlabelled cell costs nothing more, one beside it does."""
    model = build(ldm=False, supervision=dict(ignore_mined_negatives=True, pseudo_warmup=0))
    plain = build(ldm=False)
    plain.load_state_dict(model.state_dict())
    samples = batch()[:1]
    feats = model.extract_feat(images(1))
    outs, _ = model.student_forward(feats, samples)
    # the whole image, and priors of all sizes: everything is ignored but the positives
    everywhere = torch.cat(
        model.bbox_head.prior_generator.grid_priors([(8, 8), (4, 4), (2, 2)], device='cpu')
    )
    everything = InstanceData(
        bboxes=everywhere,
        labels=torch.zeros(len(everywhere), dtype=torch.long),
        scores=torch.ones(len(everywhere)),
    )
    monkeypatch.setattr(model.mil_head, 'pseudo_boxes', lambda *_: [everything])
    losses, expected = step(model, samples)[0], step(plain, samples)[0]
    assert 0 < losses['loss_cls'] < expected['loss_cls']
    assert torch.equal(losses['loss_bbox'], expected['loss_bbox'])
    assert torch.equal(losses['loss_mil'], expected['loss_mil'])


class CornerProposer:
    """Two regions an image, and a record of who asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, batch_inputs, batch_img_metas, data_preprocessor=None):
        self.asked.append((batch_inputs.shape, len(batch_img_metas), data_preprocessor))
        box = torch.tensor([[0.0, 0, 30, 30], [30, 30, 60, 60]])
        return [InstanceData(bboxes=box, scores=torch.ones(2)) for _ in batch_img_metas]


@pytest.fixture
def corner_proposer():
    TASK_UTILS.register_module('CornerProposer', module=CornerProposer, force=True)
    yield dict(type='CornerProposer')
    TASK_UTILS.module_dict.pop('CornerProposer')


@pytest.mark.parametrize(
    ('regime', 'warmup', 'with_own'),
    [('image', 10**6, False), ('image', 0, True), ('mixed', 10**6, True), ('box', 0, True)],
)
def test_regions_of_a_proposer(build, corner_proposer, monkeypatch, regime, warmup, with_own):
    """With image labels alone the student's own regions wait for the end of the warm-up."""
    supervision = dict(regime=regime, pseudo_warmup=warmup)
    model = build(ldm=False, supervision=supervision, proposer=corner_proposer)
    seen = []
    forward = model.mil_head.forward
    monkeypatch.setattr(
        model.mil_head, 'forward', lambda f, b: (seen.append([len(x) for x in b]), forward(f, b))[1]
    )
    step(model, batch())
    assert all(n > 2 for n in seen[0]) if with_own else seen == [[2, 2, 2]]
    assert model.proposer.asked == [((3, 3, 64, 64), 3, model.data_preprocessor)]


def test_two_stage_student_learns_from_image_labels():
    """RPN and RoI head get the pseudo-boxes, and no box leaks."""
    from mmdet.registry import MODELS

    cfg = zoo.faster_rcnn().model
    cfg.type = 'LDWSCCDTwoStage'
    cfg.mil_head = mil_cfg(dropout=0.0)
    cfg.mil_head['bbox_roi_extractor'].update(out_channels=16, featmap_strides=[4])
    cfg.train_cfg.proposal = dict(max_per_img=20)
    cfg.supervision = dict(regime='image', pseudo_warmup=0)
    model = MODELS.build(cfg)
    samples, moved = batch(), batch()
    for one in moved:
        one.gt_instances.bboxes += 5
    (losses, grads), (other, other_grads) = step(model, samples), step(model, moved)
    assert losses['loss_mil'] > 0
    assert all(
        torch.equal(
            torch.as_tensor(losses[k][0] if isinstance(losses[k], list) else losses[k]),
            torch.as_tensor(other[k][0] if isinstance(other[k], list) else other[k]),
        )
        for k in losses
    )
    assert all(
        torch.equal(grad, other_grads[name]) for name, grad in grads.items() if grad is not None
    )


def test_checkpoint_has_nothing_of_the_supervision(build):
    """No buffer, no counter: a model of any regime loads a checkpoint of any other."""
    names = set(build().state_dict())
    supervision = dict(regime='mixed', mask_source='both', ignore_mined_negatives=True)
    model = build(supervision=supervision)
    assert set(model.state_dict()) == names
    copy.deepcopy(model)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(supervision=dict(regime='boxes')), "supervision.regime: .* one of .* found 'boxes'"),
        (dict(supervision=dict(mask_source='teacher')), "supervision.mask_source: .*'teacher'"),
        (dict(supervision=dict(mined_score=2)), 'model.supervision.mined_score: .* found 2'),
        (dict(supervision=dict(pseudo_warmup=-1)), 'supervision.pseudo_warmup: .* found -1'),
        (dict(mil=False, supervision=dict(regime='image')), 'model.mil_head: .* found None'),
        (dict(mil=False, supervision=dict(mask_source='both')), 'model.mil_head: expected a'),
        # as earlier versions had it
        (dict(supervision='image'), r"write supervision=dict\(regime='image'\)"),
        (dict(mask_source='both'), r'model.mask_source .* write supervision=dict\(mask_source=...'),
        (dict(pseudo_warmup=1), r'model.pseudo_warmup .* supervision=dict\(pseudo_warmup=...\)'),
        (dict(mil=False, proposer=dict(type='NucleusBlobProposer')), 'model.mil_head: expected'),
    ],
)
def test_bad_settings(build, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        build(ldm=False, **kwargs)
