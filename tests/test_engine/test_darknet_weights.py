"""Darknet's weights, checked by a small interpreter of its .cfg files that reads the same file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.engine.darknet_weights import (
    darknet_layers,
    load_darknet_weights,
    yolov4_layers,
)
from ldwsccd_mmdet.errors import CheckpointError, ConfigError
from tests.commands import run_door
from tests.test_models.test_necks.test_yolov2_neck import brute_reorg

ROOT = Path(__file__).resolve().parents[2]
CLASSES = 2
WIDTH = 4  # all channels are divided by this

register_all_modules(init_default_scope=False)


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    init_default_scope('mmdet')


def yolov4_cfg(classes: int) -> list[tuple]:
    """The layers of the published yolov4.cfg: its routes count back from the layer itself."""
    layers: list[tuple] = []

    def conv(filters: int, size: int, stride: int = 1, act: str = 'mish') -> None:
        layers.append(('conv', filters, size, stride, act))

    conv(32, 3)
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        half = filters if filters == 64 else filters // 2
        conv(filters, 3, 2)
        conv(half, 1)
        layers.append(('route', -2))
        conv(half, 1)
        for _ in range(blocks):
            conv(32 if filters == 64 else half, 1)
            conv(half, 3)
            layers.append(('shortcut', -3))
        conv(half, 1)
        layers.append(('route', -1, -(3 * blocks + 4)))
        conv(filters, 1)
    for filters, size in ((512, 1), (1024, 3), (512, 1)):
        conv(filters, size, act='leaky')
    layers.extend([('maxpool', 5), ('route', -2), ('maxpool', 9), ('route', -4), ('maxpool', 13)])
    layers.append(('route', -1, -3, -5, -6))
    for filters, size in ((512, 1), (1024, 3), (512, 1)):
        conv(filters, size, act='leaky')
    for filters, lateral in ((256, 85), (128, 54)):
        conv(filters, 1, act='leaky')
        layers.append(('upsample',))
        layers.append(('route', lateral))
        conv(filters, 1, act='leaky')
        layers.append(('route', -1, -3))
        for i in range(5):
            conv(filters * (1 + i % 2), 1 + 2 * (i % 2), act='leaky')
    for level, filters in enumerate((128, 256, 512)):
        if level:
            layers.append(('route', -4))
            conv(filters, 3, 2, act='leaky')
            layers.append(('route', -1, -16 if level == 1 else -37))
            for i in range(5):
                conv(filters * (1 + i % 2), 1 + 2 * (i % 2), act='leaky')
        conv(2 * filters, 3, act='leaky')
        layers.append(('conv', 3 * (5 + classes), 1, 1, 'linear'))
        layers.append(('yolo',))
    return layers


def yolov2_cfg(classes: int) -> list[tuple]:
    """The layers of the published yolov2.cfg: five anchors."""
    layers: list[tuple] = []

    def convs(*filters_and_sizes: tuple[int, int]) -> None:
        layers.extend(('conv', filters, size, 1, 'leaky') for filters, size in filters_and_sizes)

    convs((32, 3))
    for stage in (
        ((64, 3),),
        ((128, 3), (64, 1), (128, 3)),
        ((256, 3), (128, 1), (256, 3)),
        ((512, 3), (256, 1), (512, 3), (256, 1), (512, 3)),
        ((1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3)),
    ):
        layers.append(('halve',))
        convs(*stage)
    convs((1024, 3), (1024, 3))
    layers.append(('route', -9))
    convs((64, 1))
    layers.append(('reorg',))
    layers.append(('route', -1, -4))
    convs((1024, 3))
    layers.append(('conv', 5 * (5 + classes), 1, 1, 'linear'))
    layers.append(('region',))
    return layers


def yolov1_cfg(classes: int, side: int) -> list[tuple]:
    """The layers of the published yolov1.cfg: three boxes a cell."""
    layers: list[tuple] = [('conv', 64, 7, 2, 'leaky')]
    for stage in (
        ((192, 3),),
        ((128, 1), (256, 3), (256, 1), (512, 3)),
        (*((256, 1), (512, 3)) * 4, (512, 1), (1024, 3)),
        (*((512, 1), (1024, 3)) * 2, (1024, 3), (1024, 3, 2), (1024, 3), (1024, 3)),
    ):
        layers.append(('halve',))
        layers += [('conv', f, size, *(stride or [1]), 'leaky') for f, size, *stride in stage]
    layers += [('local', 256), ('connected', side * side * (classes + 15)), ('detection',)]
    return layers


def interpret(layers: list[tuple], x: torch.Tensor, rng: np.random.Generator):
    """Run the network on random numbers; return the three maps and the numbers in file order."""
    outs: list[torch.Tensor] = []
    numbers: list[np.ndarray] = []
    maps = []

    def draw(shape, low, high):
        values = rng.uniform(low, high, shape).astype(np.float32)
        numbers.append(values.ravel())
        return torch.from_numpy(values)

    for layer in layers:
        kind = layer[0]
        if kind == 'conv':
            _, filters, size, stride, act = layer
            bn = act != 'linear'
            filters = filters // WIDTH if bn else filters
            shape = (filters, x.shape[1], size, size)
            limit = (3 / np.prod(shape[1:])) ** 0.5
            if bn:
                bias, gamma = draw(filters, -0.5, 0.5), draw(filters, 0.5, 1.5)
                mean, var = draw(filters, -0.5, 0.5), draw(filters, 0.5, 1.5)
                x = F.conv2d(x, draw(shape, -limit, limit), None, stride, size // 2)
                x = F.batch_norm(x, mean, var, gamma, bias)
            else:
                bias = draw(filters, -0.5, 0.5)
                x = F.conv2d(x, draw(shape, -limit, limit), bias)
            if act == 'mish':
                x = x * torch.tanh(F.softplus(x))
            elif act == 'leaky':
                x = F.leaky_relu(x, 0.1)
        elif kind == 'shortcut':
            x = outs[-1] + outs[layer[1]]
        elif kind == 'route':
            x = torch.cat([outs[index] for index in layer[1:]], dim=1)
        elif kind == 'maxpool':
            x = F.max_pool2d(x, layer[1], 1, layer[1] // 2)
        elif kind == 'halve':
            x = F.max_pool2d(x, 2, 2)
        elif kind == 'reorg':
            x = torch.from_numpy(brute_reorg(x.numpy(), 2))
        elif kind == 'local':
            filters, places = layer[1] // WIDTH, x.shape[2] * x.shape[3]
            bias = draw((filters, *x.shape[2:]), -0.5, 0.5)
            weight = draw((places, filters, x.shape[1], 3, 3), -0.05, 0.05)
            patches = F.unfold(x, 3, padding=1)[0]  # (C 9, places)
            values = [weight[i].flatten(1) @ patches[:, i] for i in range(places)]
            x = F.leaky_relu(torch.stack(values, dim=1).view(1, *bias.shape) + bias, 0.1)
        elif kind == 'connected':
            bias = draw(layer[1], -0.5, 0.5)
            x = x.flatten(1) @ draw((layer[1], x.numel()), -0.05, 0.05).T + bias
        elif kind == 'upsample':
            x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        else:
            maps.append(x)
        outs.append(x)
    return maps, np.concatenate(numbers)


def write(path: Path, numbers: np.ndarray, version=(0, 2, 5), seen: int = 32_032_000) -> Path:
    """Write a file as Darknet does."""
    seen_format = '<q' if version[0] * 10 + version[1] >= 2 else '<i'
    header = struct.pack('<iii', *version) + struct.pack(seen_format, seen)
    path.write_bytes(header + numbers.astype('<f4').tobytes())
    return path


def small_model(num_classes: int = CLASSES):
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov4.py').model
    cfg.backbone.widen_factor = 1 / WIDTH
    for part, key in (
        ('neck', 'in_channels'),
        ('neck', 'out_channels'),
        ('bbox_head', 'in_channels'),
    ):
        cfg[part][key] = tuple(c // WIDTH for c in cfg[part][key])
    cfg.bbox_head.num_classes = num_classes
    return MODELS.build(cfg).eval()


@pytest.fixture(scope='module')
def published():
    """An image, the maps that yolov4.cfg gives for it, and its numbers."""
    x = torch.rand(1, 3, 64, 96)
    maps, numbers = interpret(yolov4_cfg(CLASSES), x, np.random.default_rng(0))
    return x, maps, numbers


def test_the_published_weights_fit_to_the_last_number():
    """yolov4.weights has 257,717,640 bytes: a header of 20, and 64,429,405 numbers."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov4.py').model
    cfg.bbox_head.num_classes = 80
    with torch.device('meta'):
        model = MODELS.build(cfg)
    state = {k: v for k, v in model.state_dict().items() if 'num_batches_tracked' not in k}
    assert sum(value.numel() for value in state.values()) == 64_429_405
    layers = yolov4_layers(model)
    assert len(layers) == 110
    assert sum(t.numel() for layer in layers for t in layer.tensors()) == 64_429_405


def test_each_layer_has_the_shape_and_place_of_the_cfg():
    with torch.device('meta'):
        layers = yolov4_layers(small_model())
    expected = [
        (layer[1] // WIDTH if layer[4] != 'linear' else layer[1], layer[2], layer[3])
        for layer in yolov4_cfg(CLASSES)
        if layer[0] == 'conv'
    ]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for _, c, _ in layers] == expected


@pytest.mark.parametrize('version', [(0, 2, 5), (0, 1, 0)])
def test_a_file_read_back_gives_the_maps_of_the_cfg(tmp_path, published, version):
    x, maps, numbers = published
    model = small_model()
    header, names = load_darknet_weights(model, write(tmp_path / 'a.weights', numbers, version))
    assert header['seen'] == 32_032_000 and len(names) == 110
    with torch.no_grad():
        outs = model.bbox_head(model.extract_feat(x))[0]
    for out, expected in zip(outs, maps, strict=True):
        torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda n: n[:-1], '1 are missing'),
        (lambda n: np.append(n, [1, 2]), '2 are left over'),
        (lambda n: np.append(n[:-1], np.nan), 'not finite'),
        (lambda n: n[:0], 'no .weights file'),
    ],
)
def test_a_wrong_file_is_refused_and_changes_nothing(tmp_path, published, edit, message):
    path = write(tmp_path / 'a.weights', edit(published[2]))
    model = small_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message):
        load_darknet_weights(model, path)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_another_number_of_classes_is_named(tmp_path, published):
    path = write(tmp_path / 'a.weights', published[2])
    with pytest.raises(CheckpointError, match='num_classes'):
        load_darknet_weights(small_model(CLASSES + 1), path)


def test_the_first_layers_alone(tmp_path, published):
    """yolov4.conv.137 holds the layers 0 to 136 of the cfg: all before the first prediction."""
    model = small_model()
    count = sum(
        tensor.numel()
        for layer in yolov4_layers(model)
        if 'bbox_head' not in layer.name and 'bottom_up' not in layer.name
        for tensor in layer.tensors()
    )
    path = write(tmp_path / 'a.conv.137', published[2][:count])
    with pytest.raises(CheckpointError, match='--partial'):
        load_darknet_weights(model, path)
    _, names = load_darknet_weights(model, path, partial=True)
    assert names[-1] == 'neck.top_down.1.fuse.4'
    conv_layers = [i for i, layer in enumerate(yolov4_cfg(CLASSES)) if layer[0] == 'conv']
    assert conv_layers[len(names) - 1] == 136


def test_missing_file_and_other_model(tmp_path):
    with pytest.raises(CheckpointError, match='do not exist'):
        load_darknet_weights(small_model(), tmp_path / 'none.weights')
    with pytest.raises(ConfigError, match='YOLOV4'):
        yolov4_layers(torch.nn.Conv2d(1, 1, 1))


def test_the_tool_writes_a_checkpoint_of_weights_only(tmp_path, published, capsys):
    path = write(tmp_path / 'a.weights', published[2])
    config = tmp_path / 'small.py'
    base = ROOT / 'configs/_base_/models/yolov4.py'
    config.write_text(f"""_base_ = '{base}'
model = dict(
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=(64, 128, 256), out_channels=(32, 64, 128)),
    bbox_head=dict(in_channels=(32, 64, 128)),
)
""")
    out = tmp_path / 'a.pth'
    args = ['--config', config, '--num-classes', CLASSES]
    assert run_door('tools/model_converters/darknet2mmdet.py', path, out, *args) == 0
    assert '110 layers' in capsys.readouterr().out
    checkpoint = torch.load(out, weights_only=True)
    assert checkpoint['meta']['seen'] == 32_032_000
    model = small_model()
    model.load_state_dict(checkpoint['state_dict'])
    expected = small_model()
    load_darknet_weights(expected, path)
    for key, value in expected.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def small_yolov2(num_classes: int = CLASSES):
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov2.py').model
    cfg.backbone.widen_factor = 1 / WIDTH
    cfg.neck.update(
        in_channels=(512 // WIDTH, 1024 // WIDTH),
        out_channels=1024 // WIDTH,
        passthrough_channels=64 // WIDTH,
    )
    cfg.bbox_head.update(num_classes=num_classes, in_channels=1024 // WIDTH)
    return MODELS.build(cfg).eval()


def test_the_published_yolov2_fits_to_the_last_number():
    """yolov2.weights has 203,934,260 bytes: a header of 16, and 50,983,561 numbers."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov2.py').model
    cfg.bbox_head.num_classes = 80
    with torch.device('meta'):
        layers = darknet_layers(MODELS.build(cfg))
    assert sum(t.numel() for layer in layers for t in layer.tensors()) == 50_983_561
    assert 203_934_260 == 16 + 4 * 50_983_561
    expected = [(x[1], x[2]) for x in yolov2_cfg(80) if x[0] == 'conv']
    assert [(c.out_channels, c.kernel_size[0]) for _, c, _ in layers] == expected


def test_yolov2_read_back_gives_the_map_of_the_cfg(tmp_path):
    x = torch.rand(1, 3, 64, 96)
    (expected,), numbers = interpret(yolov2_cfg(CLASSES), x, np.random.default_rng(0))
    model = small_yolov2()
    path = write(tmp_path / 'a.weights', numbers, version=(0, 1, 0))
    header, names = load_darknet_weights(model, path)
    assert header['seen'] == 32_032_000 == model.bbox_head.seen and len(names) == 23
    with torch.no_grad():
        out = model.bbox_head(model.extract_feat(x))[0]
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)
    write(path, numbers[:-1])
    with pytest.raises(CheckpointError, match='1 are missing'):
        load_darknet_weights(model, path)


def test_the_published_yolov1_fits_to_the_last_number():
    """yolov1.weights has 789,312,988 bytes: a header of 16, and 197,328,243 numbers."""
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov1.py').model
    cfg.bbox_head.num_classes = 20
    with torch.device('meta'):
        layers = darknet_layers(MODELS.build(cfg))
    assert sum(t.numel() for layer in layers for t in layer.tensors()) == 197_328_243
    assert 789_312_988 == 16 + 4 * 197_328_243
    expected = [x[1:4] for x in yolov1_cfg(20, 7) if x[0] == 'conv']
    convs = [c for _, c, _ in layers[:-2]]
    assert [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in convs] == expected


@pytest.mark.parametrize('transposed', [False, True])
def test_yolov1_read_back_gives_the_numbers_of_the_cfg(tmp_path, transposed):
    """Where major is above 1000, the connected layer's weights are stored by input."""
    x = torch.rand(1, 3, 128, 128)
    (expected,), numbers = interpret(yolov1_cfg(CLASSES, 2), x, np.random.default_rng(0))
    cfg = Config.fromfile(ROOT / 'configs/_base_/models/yolov1.py').model
    cfg.backbone.widen_factor = 1 / WIDTH
    width = 1024 // WIDTH
    cfg.neck.update(in_channels=width, out_channels=width)
    cfg.bbox_head.update(
        num_classes=CLASSES, in_channels=width, side=2, local_channels=256 // WIDTH
    )
    model = MODELS.build(cfg).eval()
    version = (0, 1, 0)
    if transposed:
        version = (1001, 0, 0)
        weight = model.bbox_head.connected.weight
        stored = numbers[-weight.numel() :].reshape(weight.shape)
        numbers = np.concatenate([numbers[: -weight.numel()], stored.T.ravel()])
    path = tmp_path / 'a.weights'
    header = struct.pack('<iiii', *version, 64_000)
    path.write_bytes(header + numbers.astype('<f4').tobytes())
    found, names = load_darknet_weights(model, path)
    assert found['seen'] == 64_000 and len(names) == 26
    with torch.no_grad():
        out = model.bbox_head(model.extract_feat(x))[0]
    torch.testing.assert_close(out, expected, rtol=1e-3, atol=1e-3)
