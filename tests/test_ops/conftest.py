"""Fixtures of the operators' tests: mmcv's compiled ones."""

from types import ModuleType

import pytest

from ldwsccd_mmdet.ops import is_stand_in


@pytest.fixture(scope='session')
def compiled() -> ModuleType:
    """mmcv's compiled operators; tests of parity skip without them."""
    if is_stand_in():
        pytest.skip('needs mmcv with compiled operators; here is mmcv-lite')
    import mmcv._ext

    return mmcv._ext


@pytest.fixture
def no_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operators of plain torch, also where torchvision's would be used."""
    for module in ('nms', 'roi_align'):
        monkeypatch.setattr(f'ldwsccd_mmdet.ops.{module}.torchvision_kernels', lambda: None)
