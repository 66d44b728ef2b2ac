"""Model tests build from configs in mmdet's scope, as a runner does."""

import pytest
from mmdet.utils import register_all_modules
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401

register_all_modules(init_default_scope=False)


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    """Other tests' runners leave scopes of their own behind."""
    init_default_scope('mmdet')
