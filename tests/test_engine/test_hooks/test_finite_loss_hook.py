import pytest
import torch

from ldwsccd_mmdet.engine.hooks import FiniteLossHook
from ldwsccd_mmdet.errors import ConfigError, NonFiniteLossError
from tests.test_engine.toy import Toy, make_runner


class Breaks(Toy):
    """Its loss is NaN from the fourth step on."""

    steps = 0

    def forward(self, x, y, mode='tensor'):
        out = super().forward(x, y, mode)
        if mode == 'loss':
            self.steps += 1
            out['loss_bbox'] = torch.tensor(float('nan') if self.steps > 3 else 1.0)
        return out


@pytest.mark.parametrize(('interval', 'iteration'), [(1, 4), (3, 6)])
def test_ends_the_training_and_names_the_loss(tmp_path, interval, iteration):
    hook = FiniteLossHook(interval)
    runner = make_runner(
        tmp_path, model=Breaks(), hooks=(hook,), checkpoint={'interval': 5, 'save_best': None}
    )
    with pytest.raises(NonFiniteLossError, match='loss_bbox = nan') as error:
        runner.train()
    assert f'iteration {iteration}:' in str(error.value) and 'loss_cls' not in str(error.value)
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.parametrize('interval', [0, -1, 1.5])
def test_interval(interval):
    with pytest.raises(ConfigError, match='FiniteLossHook.interval'):
        FiniteLossHook(interval)


def test_other_outputs_are_left():
    FiniteLossHook().after_train_iter(None, 0, outputs=None)
