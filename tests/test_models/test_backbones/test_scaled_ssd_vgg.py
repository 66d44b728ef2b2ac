from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import SSDVGG

from ldwsccd_mmdet.models import ScaledSSDVGG

WEIGHTS = Path(__file__).parents[4] / 'shared' / 'weights' / 'vgg16_imagenet_ssdvgg.pth'


def test_width_one_is_mmdets_ssd_vgg():
    """Keys, shapes and output of SSDVGG, so that its weights load unchanged."""
    ours, theirs = ScaledSSDVGG(depth=11), SSDVGG(depth=11, out_feature_indices=(14, 24))
    ours.load_state_dict(theirs.state_dict())
    ours.eval()
    theirs.eval()
    x = torch.randn(1, 3, 40, 56)
    for a, b in zip(ours(x), theirs(x), strict=True):
        torch.testing.assert_close(a, b)


def test_default_has_the_keys_and_shapes_of_ssd_vgg16():
    with torch.device('meta'):
        ours, theirs = ScaledSSDVGG(), SSDVGG(depth=16)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    assert ours.out_feature_indices == theirs.out_feature_indices
    assert ours.out_channels == (512, 1024)


@pytest.mark.skipif(not WEIGHTS.is_file(), reason='needs ../shared/weights')
def test_imagenet_weights_load():
    state = torch.load(WEIGHTS, weights_only=True)
    state = state.get('state_dict', state)
    with torch.device('meta'):
        own = ScaledSSDVGG().state_dict()
    assert {k for k in own if k not in state} == {
        f'features.{n}.{kind}' for n in (31, 33) for kind in ('weight', 'bias')
    }
    assert all(own[k].shape == v.shape for k, v in state.items())


@pytest.mark.parametrize('norm_cfg', [None, dict(type='BN')])
@pytest.mark.parametrize('depth', [11, 13, 16, 19])
def test_narrow(depth, norm_cfg):
    model = ScaledSSDVGG(depth=depth, widen_factor=0.03, norm_cfg=norm_cfg)
    model.init_weights()
    conv4, conv7 = model(torch.randn(2, 3, 66, 64))
    assert conv4.shape == (2, model.out_channels[0], 9, 8)
    assert conv7.shape == (2, model.out_channels[1], 5, 4)
    (conv4.sum() + conv7.sum()).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert (conv4 >= 0).all()  # after the activation, as SSD takes it


def test_frozen_stages_and_norm_eval():
    model = ScaledSSDVGG(
        depth=11, widen_factor=0.03, norm_cfg=dict(type='BN'), frozen_stages=2, norm_eval=True
    )
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items() if 'running' in k}
    sum(out.sum() for out in model(torch.randn(2, 3, 32, 32))).backward()
    frozen = [n for n, p in model.named_parameters() if p.grad is None]
    # two stages of one convolution and one norm layer: 4 tensors each
    assert len(frozen) == 8
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in before.items())


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(depth=12), r'one of \[11, 13, 16, 19\], found 12'),
        (dict(widen_factor=0), 'widen_factor: expected a number > 0, found 0'),
        (dict(frozen_stages=6), 'frozen_stages: expected 0 to 5, found 6'),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        ScaledSSDVGG(**kwargs)
