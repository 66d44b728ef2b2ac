import pytest

from ldwsccd_mmdet.engine.run_settings import check_run_settings
from ldwsccd_mmdet.errors import ConfigError


def nested(key, value):
    for name in reversed(key.split('.')):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('optim_wrapper.clip_grad.max_norm', -5),
        ('optim_wrapper.clip_grad.max_norm', 0),
        ('optim_wrapper.clip_grad.max_norm', float('nan')),
        ('optim_wrapper.clip_grad.max_norm', '5'),
        ('optim_wrapper.clip_grad.clip_value', -1.0),
        ('optim_wrapper.optimizer.lr', -0.1),
        ('optim_wrapper.optimizer.lr', '1e-3x'),
        ('optim_wrapper.optimizer.weight_decay', -1e-4),
        ('optim_wrapper.accumulative_counts', 0),
        ('train_cfg.max_epochs', -1),
        ('train_cfg.max_epochs', 0),
        ('train_cfg.max_epochs', 2.5),
        ('train_cfg.max_iters', -1),
        ('train_cfg.val_interval', 0),
        ('train_dataloader.batch_size', 0),
        ('val_dataloader.num_workers', -1),
    ],
)
def test_what_can_not_be_meant(key, value):
    with pytest.raises(ConfigError, match=rf'{key}: expected .*, found'):
        check_run_settings(nested(key, value))


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('optim_wrapper.clip_grad.max_norm', 35),
        ('optim_wrapper.clip_grad', None),
        ('optim_wrapper.optimizer.weight_decay', 0.0),
        ('optim_wrapper.optimizer.momentum', 0.9),
        ('optim_wrapper.optimizer.lr', 1e-3),
        ('train_cfg.max_epochs', 12),
        ('train_cfg.max_epochs', 12.0),
        ('train_cfg', None),
        ('train_dataloader.num_workers', 0),
    ],
)
def test_what_is_right(key, value):
    check_run_settings(nested(key, value))
