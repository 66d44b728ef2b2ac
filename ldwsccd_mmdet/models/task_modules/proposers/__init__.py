"""Where regions come from when no head of the student proposes them."""

from .base_proposer import BaseProposer, ImageProposer
from .file_proposer import FileProposer
from .nucleus_blob_proposer import NucleusBlobProposer
from .prior_proposer import PriorProposer
from .selective_search_proposer import SelectiveSearchProposer

__all__ = [
    'BaseProposer',
    'FileProposer',
    'ImageProposer',
    'NucleusBlobProposer',
    'PriorProposer',
    'SelectiveSearchProposer',
]
