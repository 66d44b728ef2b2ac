"""Inference: detectors from checkpoints and exported files, images, tiles, slides, results.

Names are loaded when they are used: an exported detector needs neither torch nor mmdet.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    'CellDetections': 'cell_detections',
    'CellDetector': 'cell_detector',
    'CellInferencer': 'cell_inferencer',
    'DetectorInfo': 'cell_detector',
    'ExportedDetector': 'exported_detector',
    'PredictionSettings': 'prediction',
    'Tiling': 'tiled_detection',
    'best_f1_score': 'score_choice',
    'detect_tiled': 'tiled_detection',
    'export_detector': 'exporting',
    'find_sources': 'sources',
    'load_detector': 'loading',
    'measure': 'score_choice',
    'measured_student': 'publishing',
    'predict_images': 'prediction',
    'publish_checkpoint': 'publishing',
}

__all__ = sorted(_WHERE)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(f'.{_WHERE[name]}', __name__), name)
