"""RoI extractors."""

from .spp_roi_extractor import SpatialPyramidPool, SPPRoIExtractor
from .warped_roi_extractor import WarpedRoIExtractor

__all__ = ['SPPRoIExtractor', 'SpatialPyramidPool', 'WarpedRoIExtractor']
