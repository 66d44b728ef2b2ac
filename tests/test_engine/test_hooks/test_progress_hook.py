import io
import logging
from types import SimpleNamespace

import pytest
from mmengine.logging import HistoryBuffer
from rich.console import Console

from ldwsccd_mmdet.engine.hooks import ProgressHook


@pytest.fixture
def training():
    """What the hook asks of a runner, in epoch 2 of 3 of two steps each."""
    losses = SimpleNamespace(log_scalars={'train/loss': HistoryBuffer([9, 9, 3, 2], [1] * 4)})
    logger = SimpleNamespace(log_file='work/x.log', handlers=[logging.StreamHandler(io.StringIO())])
    return SimpleNamespace(
        logger=logger,
        message_hub=losses,
        train_dataloader=[None, None],
        max_iters=6,
        max_epochs=3,
        iter=2,
        epoch=1,
    )


def test_one_line_an_epoch(training):
    shown = io.StringIO()
    hook = ProgressHook(Console(file=shown, width=100))
    (handler,) = training.logger.handlers
    stream = handler.stream
    hook.before_train(training)
    hook.before_train_epoch(training)
    assert handler.stream is not stream  # warnings stand above the bar
    for _ in range(2):
        hook.after_train_iter(training, 0)
    hook.after_train_epoch(training)
    hook.before_val(training)
    hook.after_val_epoch(training, {'coco/bbox_mAP': 0.2, 'coco/bbox_mAP_50': 0.4567})
    hook.before_train_epoch(training)
    hook.after_train(training)
    hook.close()
    assert handler.stream is stream
    text = shown.getvalue()
    assert 'Log: work/x.log' in text
    # the mean of the epoch's own two steps
    assert text.count('epoch 2/3  loss 2.50  bbox_mAP_50 45.7  0 s') == 1


def test_an_epoch_without_validation_that_is_stopped(training):
    shown = io.StringIO()
    hook = ProgressHook(Console(file=shown, width=100))
    hook.before_train(training)
    hook.after_val_epoch(training, {'coco/bbox_mAP_50': 0.1})  # before the first epoch
    training.message_hub.log_scalars.clear()
    hook.after_train_epoch(training)
    hook.close()
    assert 'epoch 2/3  0 s' in shown.getvalue() and 'mAP' not in shown.getvalue()
