"""Make a detector of whatever file the user has: a config, a checkpoint, an exported model."""

from __future__ import annotations

from pathlib import Path

from ..errors import CheckpointError, ConfigError, InputError
from ..optional import HAS_MMDET
from .cell_detector import CellDetector
from .exported_detector import EXPORTED_SUFFIXES, ExportedDetector

__all__ = ['find_weights', 'load_detector']


def load_detector(
    model: str | Path, weights: str | Path | None = None, device: str | None = None
) -> CellDetector:
    """Load a detector.

    Args:
        model: ``.onnx`` or ``.xml`` of ``ldwsccd export``; a checkpoint that holds its config; or a
            config file (``.py``).
        weights: The checkpoint of a config; None: the best, else the last, of its work directory.
        device: Such as ``'cuda:0'``; None: the accelerator if there is one. Of no use to exported
            models.

    Raises:
        CheckpointError: There are no weights, or they can't be used.
        ConfigError: The config can't be read.
        InputError: mmdet, or the run time of an exported model, is not installed.
    """
    path = Path(model)
    if path.suffix in EXPORTED_SUFFIXES:
        if weights is not None:
            raise InputError(f"--weights: '{path}' is an exported model, which holds its weights")
        return ExportedDetector(path)
    if not HAS_MMDET:
        raise InputError(
            f"model '{path}' needs mmdet, which is not installed: install it, or predict with an "
            'exported model (.onnx)'
        )
    from .cell_inferencer import CHECKPOINT_SUFFIXES, CellInferencer

    if path.suffix in CHECKPOINT_SUFFIXES:
        return CellInferencer(None, str(path), device)
    if path.suffix != '.py':
        raise ConfigError(
            f"model '{path}': expected a config (.py), a checkpoint "
            f'({", ".join(CHECKPOINT_SUFFIXES)}) or an exported model '
            f'({", ".join(EXPORTED_SUFFIXES)})'
        )
    return CellInferencer(str(path), str(weights or find_weights(path)), device)


def find_weights(config: Path) -> Path:
    """Find the weights of a config in its work directory: the best, else the last.

    Raises:
        CheckpointError: There are none.
    """
    from ..engine.config_file import load_config

    folder = Path(load_config(str(config)).get('work_dir') or Path('work_dirs') / config.stem)
    best = sorted(folder.glob('best_*.pth'), key=lambda file: file.stat().st_mtime)
    if best:
        return best[-1]
    epochs = sorted(folder.glob('*.pth'), key=lambda file: file.stat().st_mtime)
    if not epochs:
        raise CheckpointError(
            f"no weights of '{config}' in '{folder}': train it, or name them with --weights FILE"
        )
    return epochs[-1]
