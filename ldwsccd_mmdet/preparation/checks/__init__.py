"""Checks of annotation files and images, which the doctor puts together.

The checks that need more than an annotation file are imported from their modules: ``images``,
``duplicates``, ``priors``, ``examine``.
"""

from .finding import LEVELS, Finding

__all__ = ['LEVELS', 'Finding']
