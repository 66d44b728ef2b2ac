"""What stands where ``mmcv._ext`` would; each case in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from ldwsccd_mmdet.errors import OperatorError
from ldwsccd_mmdet.ops import OPERATORS, is_stand_in
from ldwsccd_mmdet.ops.stand_in import _StandIn, install_stand_in
from ldwsccd_mmdet.process import may_change_process


def test_compiled_operators_win():
    import mmcv._ext

    has_file = getattr(mmcv._ext, '__file__', None) is not None
    assert is_stand_in() != has_file
    assert install_stand_in() == is_stand_in()  # a second time changes nothing
    assert isinstance(sys.modules['mmcv._ext'], _StandIn) == is_stand_in()


def test_other_operators_are_one_clear_error():
    module = _StandIn('mmcv._ext')
    module.__dict__.update(OPERATORS)
    assert module.nms is OPERATORS['nms']
    with pytest.raises(OperatorError, match='deform_conv_forward.*MMCV=compiled make env'):
        module.deform_conv_forward(1, offset=2)
    assert not hasattr(module, '__wrapped__')


@pytest.mark.skipif(not is_stand_in(), reason='needs mmcv-lite; here are compiled operators')
def test_layers_of_mmcv_use_the_stand_in():
    import torch
    from mmcv.ops import DeformConv2d, RoIAlign, RoIPool, batched_nms

    maps = torch.randn(1, 2, 8, 8, requires_grad=True)
    rois = torch.tensor([[0, 0.0, 0.0, 6.0, 6.0]])
    for layer in (RoIAlign(2, 1.0, 2), RoIAlign(2, 1.0, 0, 'max'), RoIPool(2, 1.0)):
        (grad,) = torch.autograd.grad(layer(maps, rois).sum(), maps)
        assert grad.sum() == pytest.approx(8)
    boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [0, 0, 9, 9]])
    labels, scores = torch.tensor([0, 0, 1]), torch.tensor([0.9, 0.8, 0.7])
    for kind in ('nms', 'soft_nms'):
        config = dict(type=kind, iou_threshold=0.5)
        dets, kept = batched_nms(boxes, scores, labels, config)
        assert kept[0] == 0 and dets.shape == (len(kept), 5)
    with pytest.raises(OperatorError, match='deform_conv_forward'):
        DeformConv2d(2, 2, 3, padding=1)(maps, torch.zeros(1, 18, 8, 8))


@pytest.mark.parametrize(
    ('value', 'expected'), [('', True), ('1', True), ('0', False), ('off', False)]
)
def test_variable(monkeypatch, value, expected):
    monkeypatch.setenv('LDWSCCD_MMDET_SIDE_EFFECTS', value)
    assert may_change_process() == expected


def python(code, **env):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )


def test_mmcv_that_is_missing_or_broken(tmp_path):
    """The package itself is not imported here, which would take mmdet's time."""
    bare = (
        'import importlib.machinery, sys, types\n'
        'package = types.ModuleType("ldwsccd_mmdet")\n'
        f'package.__path__ = {list(find_spec("ldwsccd_mmdet").submodule_search_locations)!r}\n'
        'sys.modules["ldwsccd_mmdet"] = package\n'
        '{}\n'
        'from ldwsccd_mmdet.ops import install_stand_in\n'
        'install_stand_in()\n'
    )
    gone = python(
        bare.format(
            'sys.meta_path.insert(0, type("Gone", (), {"find_spec": staticmethod('
            'lambda name, *a: (_ for _ in ()).throw(ModuleNotFoundError(name=name)) '
            'if name == "mmcv" else None)}))'
        )
    )
    assert 'ldwsccd_mmdet[lite]' in gone.stderr and 'OperatorError' in gone.stderr

    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    (tmp_path / 'mmcv' / '_ext.py').write_text('raise ImportError("undefined symbol: _ZN3c10")')
    broken = python(bare.format(f'sys.path.insert(0, {str(tmp_path)!r})'))
    assert 'undefined symbol: _ZN3c10' in broken.stderr.splitlines()[-1]
    assert 'mmcv-lite' in broken.stderr.splitlines()[-1]


@pytest.mark.parametrize('value', ['0', '1'])
def test_import_of_the_package_obeys_the_variable(value):
    """With rooms that are empty, as mmdet takes its time and, without operators, does not load."""
    code = (
        'import sys, types\n'
        'for room in ("datasets", "engine", "evaluation", "models", "visualization"):\n'
        '    sys.modules[f"ldwsccd_mmdet.{room}"] = types.ModuleType(room)\n'
        'import ldwsccd_mmdet\n'
        'print("mmcv._ext" in sys.modules)\n'
    )
    done = python(code, LDWSCCD_MMDET_SIDE_EFFECTS=value)
    assert done.stdout.split() == [str(value == '1')], done.stderr
