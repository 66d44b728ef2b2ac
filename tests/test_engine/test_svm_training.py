"""R-CNN's second stage: machines, hard negatives and ridge regression, and the whole command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.datasets.plain_dataset import build_plain_dataset
from ldwsccd_mmdet.engine import svm_training
from ldwsccd_mmdet.engine.svm_training import RIDGE, HardNegatives, RidgeBoxes
from tests import commands
from tests.runs import run_config, write_config

ROOT = Path(__file__).resolve().parents[2]
SYSTEMS = ['rcnn', 'sppnet']


@pytest.fixture(autouse=True)
def _mmdet_scope(monkeypatch) -> None:
    register_all_modules(init_default_scope=False)
    init_default_scope('mmdet')
    monkeypatch.chdir(ROOT)


def narrow(system: str, stage: str) -> ConfigDict:
    """The small form with a narrow backbone: its pooled features are few."""
    cfg = Config.fromfile(f'configs/{system}/{system}_mobilenetv2_bccd{stage}.py')
    model = cfg.model
    model.backbone = dict(
        type='ResNet', depth=18, base_channels=8, out_indices=(3 if system == 'rcnn' else 2,)
    )
    extractor, head = model.roi_head.bbox_roi_extractor, model.roi_head.bbox_head
    extractor.out_channels = head.in_channels = 64 if system == 'rcnn' else 32
    if system == 'sppnet':
        extractor.pyramid, head.roi_feat_size = (2, 1), (5, 1)
    head.fc_out_channels = 16
    model.proposer = dict(
        type='NucleusBlobProposer', channel='gray', radius_range=(4, 12), max_per_img=20
    )
    return model


def test_ridge_is_the_minimum_of_its_sum():
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(40, 5)), rng.normal(size=(40, 4))
    ridge = RidgeBoxes(5)
    for part in np.array_split(np.arange(40), 3):
        ridge.add(features[part], targets[part])
    weights, offsets = ridge.solve()

    def cost(w, b):
        total = RIDGE * (w**2).sum()
        for phi, t in zip(features, targets, strict=True):
            for i in range(4):
                total += (t[i] - w[i] @ phi - b[i]) ** 2
        return total

    least = cost(weights, offsets)
    for _ in range(20):
        assert cost(weights + rng.normal(size=weights.shape) * 1e-3, offsets) > least
        assert cost(weights, offsets + rng.normal(size=4) * 1e-3) > least


def test_ridge_without_a_pair_moves_nothing():
    weights, offsets = RidgeBoxes(3).solve()
    assert not weights.any() and not offsets.any()


def test_hard_negatives_are_kept_and_easy_ones_are_not():
    pytest.importorskip('sklearn', reason='the machines need scikit-learn')
    rng = np.random.default_rng(0)
    positives = rng.normal(size=(30, 4)) + [20, 0, 0, 0]
    machine = HardNegatives(positives)
    machine.show(rng.normal(size=(50, 4)) - [20, 0, 0, 0])
    assert machine.trainings == 1 and machine.seen == 50
    kept = machine.negatives
    far = rng.normal(size=(50, 4)) - [200, 0, 0, 0]
    machine.show(far)
    assert machine.negatives == kept and machine.seen == 100
    near = rng.normal(size=(50, 4)) + [12, 0, 0, 0]
    before = int((machine.margins(near) > svm_training.HARD).sum())
    assert before > 0
    machine.show(near)
    assert machine.negatives == kept + before
    machine.train()
    assert machine.trainings == 2
    assert machine.margins(positives).min() > machine.margins(near).max()


def test_a_machine_equals_scikit_learns_on_the_same_examples():
    svm = pytest.importorskip('sklearn.svm', reason='the machines need scikit-learn')
    rng = np.random.default_rng(1)
    positives, negatives = rng.normal(size=(20, 3)) * 5 + 8, rng.normal(size=(40, 3)) * 5
    machine = HardNegatives(positives, seed=3)
    machine.show(negatives)
    other = svm.LinearSVC(
        C=1e-3,
        loss='hinge',
        intercept_scaling=10.0,
        class_weight={1: 2.0, 0: 1.0},
        random_state=3,
        max_iter=10_000,
    )
    other.fit(np.concatenate([positives, negatives]), [1] * 20 + [0] * 40)
    np.testing.assert_allclose(machine.weight, other.coef_[0])
    assert machine.bias == pytest.approx(other.intercept_[0])


def test_a_class_without_a_box_has_no_machine():
    machine = HardNegatives(np.zeros((0, 3)))
    machine.show(np.ones((5, 3)))
    machine.train()
    assert machine.trainings == 0 and not machine.weight.any()
    assert machine.margins(np.ones((2, 3))).max() == svm_training.NEVER


@pytest.mark.parametrize('system', SYSTEMS)
def test_from_a_checkpoint_to_a_test(system, tiny_coco, tmp_path, capsys):
    pytest.importorskip('sklearn', reason='the machines need scikit-learn')
    root = tiny_coco('train')
    tiny_coco('val')
    torch.manual_seed(0)
    first = MODELS.build(narrow(system, ''))
    first.init_weights()
    torch.save(dict(state_dict=first.state_dict(), meta={}), tmp_path / 'first.pth')
    config = run_config(narrow(system, '_svm'), root)
    write_config(config, tmp_path / 'svm.py')
    out = tmp_path / 'second.pth'
    assert commands.run('svm', tmp_path / 'svm.py', tmp_path / 'first.pth', '--out', out) == 0
    said = capsys.readouterr().out
    assert said.count('negatives seen') == 3 and 'test it with' in said

    state = torch.load(out, weights_only=True)['state_dict']
    for key, value in first.state_dict().items():
        if 'fc_cls' not in key and 'num_batches' not in key:
            torch.testing.assert_close(state[key], value)
    second = MODELS.build(config.model)
    second.load_state_dict(state)
    second.eval()
    dataset = build_plain_dataset(config, 'val')
    data = second.data_preprocessor(pseudo_collate([dataset[0]]), False)
    with torch.no_grad():
        found = second.predict(data['inputs'], data['data_samples'])[0].pred_instances
    assert len(found) and found.bboxes.isfinite().all()
    assert ((found.scores > 0) & (found.scores < 1)).all()
    # the machines tell the boxes that they were trained on from their negatives
    assert second.roi_head.bbox_head.fc_cls.weight.abs().sum() > 0
    # nothing is overwritten, and a softmax has no machines
    assert commands.run('svm', tmp_path / 'svm.py', tmp_path / 'first.pth', '--out', out) == 2
    write_config(run_config(narrow(system, ''), root), tmp_path / 'softmax.py')
    other = tmp_path / 'third.pth'
    code = commands.run('svm', tmp_path / 'softmax.py', tmp_path / 'first.pth', '--out', other)
    assert code == 2 and 'expected type SVMBBoxHead' in capsys.readouterr().err


@pytest.mark.parametrize('system', SYSTEMS)
def test_margins_and_boxes_come_from_different_features(system):
    head = MODELS.build(narrow(system, '_svm')).roi_head.bbox_head
    height, width = head.roi_feat_size
    x = torch.randn(3, head.in_channels, height, width)
    margins, deltas = head(x)
    assert margins.shape == (3, 3) and deltas.shape == (3, 12)
    pooled, shared = head.region_features(x)
    assert torch.equal(pooled, x.flatten(1)) and shared.shape == (3, 16)
    torch.testing.assert_close(margins, shared @ head.fc_cls.weight.t() + head.fc_cls.bias)
    torch.testing.assert_close(deltas, pooled @ head.fc_reg.weight.t() + head.fc_reg.bias)
