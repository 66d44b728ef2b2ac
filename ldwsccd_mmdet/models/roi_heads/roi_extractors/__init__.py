"""RoI extractors."""

from .spp_roi_extractor import SpatialPyramidPool, SPPRoIExtractor

__all__ = ['SPPRoIExtractor', 'SpatialPyramidPool']
