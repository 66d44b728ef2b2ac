"""Scenes composed of real cells, cut from crops: one folder a class."""

from .crops import (
    Bystander,
    Cell,
    cut_bystanders,
    cut_cell,
    find_crops,
    split_crops,
)
from .scene import ComposedScene, Scene
from .writer import write_composed_dataset

__all__ = [
    'Bystander',
    'Cell',
    'ComposedScene',
    'Scene',
    'cut_bystanders',
    'cut_cell',
    'find_crops',
    'split_crops',
    'write_composed_dataset',
]
