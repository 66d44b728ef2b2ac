"""How the scores of both heads are joined, learned at the end of a training."""

import pytest
import torch

from ldwsccd_mmdet.engine.hooks.score_join_hook import ScoreJoinHook, _area, _hits
from ldwsccd_mmdet.errors import ConfigError


def test_fits_and_keeps_the_numbers(training):
    run = training([dict(type='ScoreJoinHook', ridge=1.0)]).train()
    assert 'Scores of both heads on 2 held-out images, AP50: ssd' in run.log
    model = run.runner.model
    assert model.score_source == 'auto'
    state = torch.load(f'{run.runner.work_dir}/epoch_2.pth', weights_only=True)['state_dict']
    join = model.mil_head.score_join
    assert torch.equal(state['mil_head.score_join.weights'], join.weights)
    assert torch.equal(state['mil_head.score_join.fitted'], join.fitted)


def test_without_validation_data_the_join_stays_the_geometric_mean(training):
    def edit(config):
        config.update(val_cfg=None, val_dataloader=None, val_evaluator=None)

    run = training(['ScoreJoinHook'], edit).train()
    assert 'geometric mean' in run.log and 'fold=dict(of=10, leave_out=0)' in run.log
    assert not run.runner.model.mil_head.score_join.fitted


def test_fits_on_held_out_images_of_the_training_set(training):
    def edit(config):
        config.train_dataloader.dataset.fold = dict(of=2, leave_out=1)
        config.val_dataloader.dataset.update(ann_file='train.json', fold=dict(of=2, only=1))
        config.val_evaluator = dict(type='CheckedCocoMetric', metric='bbox')
        config.default_hooks.loader_truth = dict(type='LoaderTruthHook')

    run = training([dict(type='ScoreJoinHook', ridge=1.0)], edit).train()
    assert 'Scores of both heads on 2 held-out images, AP50: ssd' in run.log
    seen, held_out = (
        {loader.dataset.get_data_info(i)['img_path'] for i in range(len(loader.dataset))}
        for loader in (run.runner.train_dataloader, run.runner.val_dataloader)
    )
    assert len(seen) == len(held_out) == 2 and not seen & held_out
    assert 'fold=dict(of=10, leave_out=0)' not in run.log


def test_hits_are_counted_as_ap_does():
    truths = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]])
    bboxes = torch.tensor(
        [[0.0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30], [60, 60, 70, 70], [40, 40, 50, 52]]
    )
    labels, truth_labels = torch.tensor([0, 0, 0, 1, 2]), torch.tensor([0, 1, 2])
    # the second finds again what the first found; the third is of another class
    hits = _hits(bboxes, labels, truths, truth_labels, 0.5)
    assert hits.tolist() == [True, False, False, False, True]
    assert _hits(bboxes[:0], labels[:0], truths, truth_labels, 0.5).tolist() == []
    assert not _hits(bboxes, labels, truths[:0], truth_labels[:0], 0.5).any()


def test_area_by_hand():
    # precision 1 up to recall 0.5, then 2 / 3 up to 1
    recall, precision = torch.tensor([0.5, 0.5, 1.0]), torch.tensor([1.0, 0.5, 2 / 3])
    assert _area(recall.numpy(), precision.numpy()) == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize('kwargs', [dict(iou_thr=0), dict(ridge=0)])
def test_refuses(kwargs):
    with pytest.raises(ConfigError, match='ScoreJoinHook'):
        ScoreJoinHook(**kwargs)
