"""The folder of right files is made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_bad_inputs.workplace import make_workplace


@pytest.fixture(scope='session')
def workplace(tmp_path_factory: pytest.TempPathFactory, make_tiny_coco: Callable) -> Path:
    """See :func:`make_workplace`; no test changes it."""
    return make_workplace(tmp_path_factory.mktemp('bad_inputs'), make_tiny_coco)
