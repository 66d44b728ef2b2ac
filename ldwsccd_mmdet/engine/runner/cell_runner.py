"""mmengine's runner, for configs that leave their classes to the annotation files."""

from __future__ import annotations

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from ..own_data import follow_annotation_files

__all__ = ['CellRunner']


@RUNNERS.register_module()
class CellRunner(Runner):
    """A :class:`mmengine.runner.Runner` that first completes its config.

    ``runner_type='CellRunner'`` in a config makes mmdet's own tools take it, as ours do. See
    :func:`~ldwsccd_mmdet.engine.own_data.follow_annotation_files`.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> CellRunner:
        """Build the runner; what is completed stands in its ``cfg`` and in what it dumps."""
        follow_annotation_files(cfg)
        return super().from_cfg(cfg)
