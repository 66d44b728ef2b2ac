"""The example in the docstring of each public loss gives what it says."""

from __future__ import annotations

import doctest
import inspect
import sys
from typing import Any

import pytest
import torch

from ldwsccd_mmdet.models import losses
from ldwsccd_mmdet.models.losses import (
    CompleteIoULoss,
    FeatureImitationLoss,
    LocalDistillationLoss,
    LogitDistillationLoss,
    channel_attention,
    foreground_mask,
    image_level_loss,
    mil_scores,
    refinement_loss,
    refinement_targets,
    spatial_attention,
)
from ldwsccd_mmdet.models.roi_heads import MILRefinementHead

PUBLIC = (
    CompleteIoULoss,
    FeatureImitationLoss,
    LocalDistillationLoss,
    LogitDistillationLoss,
    MILRefinementHead,
    channel_attention,
    foreground_mask,
    image_level_loss,
    mil_scores,
    refinement_loss,
    refinement_targets,
    spatial_attention,
)


@pytest.mark.parametrize('item', PUBLIC, ids=lambda item: item.__name__)
def test_example(item: Any) -> None:
    """Each has one, in its own docstring, that names only itself and torch."""
    module = sys.modules[item.__module__]
    text = inspect.getdoc(item)
    example = doctest.DocTestParser().get_doctest(
        text, {**vars(module), 'torch': torch}, item.__name__, inspect.getsourcefile(item), 0
    )
    assert example.examples, f'{item.__name__} has no example'
    assert any(item.__name__ in line.source for line in example.examples)
    assert doctest.DocTestRunner().run(example).failed == 0


def test_no_function_of_an_equation_is_left_out() -> None:
    """The functions that the table of the package names all have an example."""
    table = str(losses.__doc__)
    named = {name for name in losses.__all__ if f'``{name}``' in table}
    assert named - {item.__name__ for item in PUBLIC} == {'LevelDistillation', 'fgd_scale_masks'}
