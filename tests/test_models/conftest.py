"""Model tests build from configs in mmdet's scope, as a runner does."""

from mmdet.utils import register_all_modules

import ldwsccd_mmdet  # noqa: F401

register_all_modules(init_default_scope=True)
