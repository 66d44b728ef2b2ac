"""Mixed precision on the CPU."""

import copy

import pytest
import torch
from mmdet.registry import OPTIM_WRAPPERS
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn

from ldwsccd_mmdet.engine import CPUAmpOptimWrapper
from ldwsccd_mmdet.engine.optimizers import cpu_amp_optim_wrapper
from ldwsccd_mmdet.errors import ConfigError


def make_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 1))


def make_wrapper(model: nn.Module, kind: type = CPUAmpOptimWrapper, **kwargs) -> OptimWrapper:
    if kind is CPUAmpOptimWrapper:
        kwargs.setdefault('dtype', 'bfloat16')  # whatever is faster here
    return kind(optimizer=torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), **kwargs)


def step(model: nn.Module, wrapper: OptimWrapper, x: torch.Tensor) -> torch.Tensor:
    with wrapper.optim_context(model):
        out = model(x)
    loss = (out.float() - 1).square().mean()
    wrapper.update_params(loss)
    return out


def test_trains_in_bfloat16_and_channels_last() -> None:
    model = make_model()
    wrapper = make_wrapper(model)
    x = torch.randn(4, 3, 8, 8)
    assert step(model, wrapper, x).dtype == torch.bfloat16
    weight = model[0].weight
    assert weight.dtype == torch.float32
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert not torch.is_autocast_enabled('cpu')
    losses = [(step(model, wrapper, x).float() - 1).square().mean().item() for _ in range(5)]
    assert losses[-1] < losses[0]


def test_only_what_has_four_dimensions_has_channels_last() -> None:
    """``model.to(memory_format=torch.channels_last)`` refuses the weights of a 3D convolution."""
    model = nn.Sequential(make_model(), nn.Conv3d(1, 2, 3))
    model.register_buffer('maps', torch.randn(2, 3, 4, 5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapper = make_wrapper(model)
    with wrapper.optim_context(model):
        pass
    assert model.maps.is_contiguous(memory_format=torch.channels_last)
    assert model[0][0].weight.is_contiguous(memory_format=torch.channels_last)
    assert model[1].weight.is_contiguous()
    assert all((value == before[name]).all() for name, value in model.state_dict().items())


def test_mmcv_operators_get_plain_inputs() -> None:
    """mmcv's RoIAlign on the CPU refuses bfloat16, and misreads channels_last maps."""
    from mmcv.ops import RoIAlign

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.roi_align = RoIAlign(3, 1.0, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.roi_align(self.conv(x), torch.tensor([[0.0, 1.0, 1.0, 6.0, 7.0]]))

    model = Model()
    wrapper = make_wrapper(model)
    x = torch.randn(2, 3, 8, 8)
    expected = model(x)
    with wrapper.optim_context(model):
        feat = model.conv(x)
        out = model(x)
    assert feat.dtype == torch.bfloat16
    assert not feat.is_contiguous()
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, expected, rtol=0.05, atol=0.05)
    wrapper.load_state_dict(wrapper.state_dict())  # a resume prepares again, hooks once
    with wrapper.optim_context(model):
        assert len(model.roi_align._forward_pre_hooks) == 1


def test_region_extractors_see_exact_boxes() -> None:
    """mmdet's rounds the boxes to the maps' bfloat16, and can't join levels of two types."""
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    layer = dict(type='RoIAlign', output_size=3, sampling_ratio=2)
    extractor = SingleRoIExtractor(layer, 4, [8, 16], finest_scale=32)
    rois = torch.tensor([[0.0, 129.4, 30.3, 170.2, 60.7], [1.0, 10.1, 20.3, 200.6, 220.2]])
    feats = tuple(torch.randn(2, 4, size, size).bfloat16() for size in (32, 16))
    expected = extractor(tuple(feat.float() for feat in feats), rois)
    wrapper = make_wrapper(nn.ModuleList([extractor, nn.Linear(1, 1)]))
    with wrapper.optim_context(nn.ModuleList([extractor])):
        out = extractor(feats, rois)
    assert torch.equal(out, expected)


def test_maps_of_dense_heads_are_plain() -> None:
    """YOLOX decodes its boxes in the type of its maps: in bfloat16, to whole pixels."""
    from mmdet.models.dense_heads import YOLOXHead

    # its losses are named in mmdet's scope, whatever an earlier test has left
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = YOLOXHead(2, 8, feat_channels=8, stacked_convs=1, strides=(8, 16))
    wrapper = make_wrapper(head)
    with wrapper.optim_context(head):
        outputs = head([torch.randn(2, 8, size, size) for size in (4, 2)])
    maps = [tensor for level in outputs for tensor in level]
    assert {tensor.dtype for tensor in maps} == {torch.float32}
    assert all(tensor.is_contiguous() for tensor in maps)
    wrapper.load_state_dict(wrapper.state_dict())
    with wrapper.optim_context(head):
        assert len(head._forward_hooks) == 1


def test_channels_last_can_be_left_out() -> None:
    model = make_model()
    step(model, make_wrapper(model, channels_last=False), torch.randn(2, 3, 8, 8))
    assert model[0].weight.is_contiguous()


@pytest.mark.parametrize(
    'kwargs', [{}, {'accumulative_counts': 2}, {'clip_grad': {'max_norm': 0.1}}]
)
def test_follows_optim_wrapper(kwargs: dict) -> None:
    """Accumulation and clipping give the plain wrapper's weights, up to bfloat16's precision."""
    model = make_model()
    twin = copy.deepcopy(model)
    wrapper = make_wrapper(model, **copy.deepcopy(kwargs))
    plain = make_wrapper(twin, OptimWrapper, **copy.deepcopy(kwargs))
    start = model[3].weight.detach().clone()
    for count in range(1, 3):
        x = torch.randn(4, 3, 8, 8)
        step(model, wrapper, x)
        step(twin, plain, x)
        moved = not torch.equal(model[3].weight, start)
        assert moved == (count % kwargs.get('accumulative_counts', 1) == 0)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=5e-3)


@pytest.mark.parametrize(
    'kinds', [(CPUAmpOptimWrapper, OptimWrapper), (OptimWrapper, CPUAmpOptimWrapper)]
)
def test_state_dict_is_the_plain_wrappers(kinds: tuple[type, type]) -> None:
    model = make_model()
    wrapper = make_wrapper(model, kinds[0])
    step(model, wrapper, torch.randn(2, 3, 8, 8))
    twin = copy.deepcopy(model)
    other = make_wrapper(twin, kinds[1])
    other.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    x = torch.randn(2, 3, 8, 8)
    step(model, wrapper, x)
    step(twin, other, x)
    for a, b in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0.05, atol=5e-3)
    if kinds[1] is CPUAmpOptimWrapper:
        momentum = other.optimizer.state[twin[0].weight]['momentum_buffer']
        assert momentum.is_contiguous(memory_format=torch.channels_last)


def test_loads_state_of_gpu_amp_without_changing_it() -> None:
    model = make_model()
    state = {**make_wrapper(model, OptimWrapper).state_dict(), 'loss_scaler': {'scale': 65536.0}}
    make_wrapper(model).load_state_dict(state)
    assert 'loss_scaler' in state


def test_refuses_a_model_elsewhere() -> None:
    model = make_model().to('meta')
    wrapper = make_wrapper(model)
    with pytest.raises(ConfigError, match='AmpOptimWrapper'), wrapper.optim_context(model):
        pass


@pytest.mark.parametrize(
    ('bfloat16', 'seconds', 'chosen'),
    [
        (True, {torch.bfloat16: 1.0, torch.float32: 2.0}, 'bfloat16'),
        (True, {torch.bfloat16: 1.1, torch.float32: 1.0}, 'bfloat16'),
        (True, {torch.bfloat16: 1.7, torch.float32: 1.0}, 'float32'),
        (False, {}, 'float32'),
    ],
    ids=['faster', 'as fast', 'slower', 'unknown to the CPU'],
)
def test_takes_what_is_clearly_faster(monkeypatch, bfloat16, seconds, chosen) -> None:
    said: list[str] = []
    module = cpu_amp_optim_wrapper
    monkeypatch.setattr(module, '_has_bfloat16', lambda: bfloat16)
    monkeypatch.setattr(module, '_convolution_seconds', seconds.__getitem__)
    monkeypatch.setattr(module, 'print_log', lambda text, **_: said.append(text))
    module.faster_dtype.cache_clear()
    try:
        wrapper = make_wrapper(make_model(), dtype='auto')
    finally:
        module.faster_dtype.cache_clear()
    assert wrapper.dtype == module.DTYPES[chosen]
    assert len(said) == 1 and f'trains in {chosen}' in said[0]


def test_measures_this_cpu() -> None:
    module = cpu_amp_optim_wrapper
    assert module.faster_dtype() in module.DTYPES
    with torch.no_grad():
        assert module.faster_dtype() == module.faster_dtype()
    assert all(module._convolution_seconds(dtype) > 0 for dtype in module.DTYPES.values())


def test_in_float32_it_is_the_plain_wrapper() -> None:
    model = make_model()
    twin = copy.deepcopy(model)
    wrapper, plain = make_wrapper(model, dtype='float32'), make_wrapper(twin, OptimWrapper)
    x = torch.randn(4, 3, 8, 8)
    assert step(model, wrapper, x).dtype == torch.float32
    step(twin, plain, x)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_refuses_an_unknown_dtype() -> None:
    with pytest.raises(ConfigError, match=r"optim_wrapper.dtype: expected .*found 'float16'"):
        make_wrapper(make_model(), dtype='float16')


def test_is_registered() -> None:
    assert OPTIM_WRAPPERS.get('CPUAmpOptimWrapper') is CPUAmpOptimWrapper
