"""Registries of the scope that ``_base_ = 'ldwsccd_mmdet::...'`` puts on what it brings.

Our classes are registered in mmdet's registries. These are their children, and find them there.
"""

from mmdet import registry as _mmdet
from mmengine.registry import Registry

__all__ = ['CHILDREN']

CHILDREN = {
    name: Registry(parent.name, parent=parent, scope='ldwsccd_mmdet', locations=['ldwsccd_mmdet'])
    for name, parent in vars(_mmdet).items()
    if isinstance(parent, Registry) and parent.scope == 'mmdet'
}
