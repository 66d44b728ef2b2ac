"""A checkpoint to give away: the student alone, with its config and a hash in its name."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..engine.checkpoint_file import read_checkpoint
from ..errors import CheckpointError, InputError
from ..optional import require
from ..version import __version__
from .cell_inferencer import CellInferencer

__all__ = ['publish_checkpoint']


def publish_checkpoint(
    inferencer: CellInferencer, out: Path, keep_mil: bool = False
) -> tuple[Path, str]:
    """Write the weights that detection needs, and nothing else.

    Teacher, distillation, optimizer, schedules, logs and, unless asked for, the MIL head are left
    out; the config inside says so too (``score_source='ssd'``), and names no path of this machine.

    Args:
        inferencer: The detector, as loaded.
        out: ``NAME.pth`` or ``NAME.safetensors``; the first 8 hex digits of the content's SHA-256
            are put before the suffix, as mmdet does.
        keep_mil: Keep the MIL head, for scores of both heads.

    Returns:
        The file, and in a few words what it holds.

    Raises:
        InputError: The suffix is another one, or safetensors is not installed.
        CheckpointError: Some of its weights are not finite.
    """
    if out.suffix not in ('.pth', '.safetensors'):
        raise InputError(f"--out: expected NAME.pth or NAME.safetensors, found '{out}'")
    left_out = ('teacher.', 'distillation.') + (() if keep_mil else ('mil_head.',))
    state = {
        key: value.detach().cpu().contiguous().clone()
        for key, value in inferencer.model.state_dict().items()
        if not key.startswith(left_out)
    }
    broken = [key for key, value in state.items() if not torch.isfinite(value.float()).all()]
    if broken:
        raise CheckpointError(
            f"'{inferencer.checkpoint_file}' has weights that are not finite ({broken[0]}, "
            f'{len(broken)} in all): publish an earlier checkpoint'
        )
    classes = list(inferencer.info.classes)
    dataset_meta: dict[str, Any] = {'classes': classes}
    for key in ('mpp', 'field_size'):
        value = getattr(inferencer.info, key)
        if value is not None:
            dataset_meta[key] = value
    config = _config_text(inferencer, keep_mil)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + '.part')
    if out.suffix == '.pth':
        meta = {'cfg': config, 'dataset_meta': dataset_meta, 'version': __version__}
        torch.save({'state_dict': state, 'meta': meta}, part)
    else:
        _save_safetensors(state, part, config, dataset_meta)
    digest = hashlib.sha256(part.read_bytes()).hexdigest()[:8]
    file = out.with_name(f'{out.stem}-{digest}{out.suffix}')
    os.replace(part, file)
    read_checkpoint(file)
    millions = sum(value.numel() for value in state.values()) / 1e6
    scores = 'scores of both heads' if keep_mil else "the student's own scores"
    return file, f'{millions:.2f} million numbers, {len(classes)} classes, {scores}'


def _save_safetensors(
    state: dict[str, torch.Tensor], path: Path, config: str, dataset_meta: dict[str, Any]
) -> None:
    """Write weights and metadata in the safetensors format."""
    safetensors = require('safetensors.torch', 'export', 'A .safetensors file')
    metadata = {
        'format': 'pt',
        'cfg': config,
        'dataset_meta': json.dumps(dataset_meta),
        'version': __version__,
    }
    safetensors.save_file(state, str(path), metadata=metadata)


def _config_text(inferencer: CellInferencer, keep_mil: bool) -> str:
    """Write the config of inference: model, test pipeline, visualizer."""
    config = inferencer.cfg
    model = config.model.to_dict() if hasattr(config.model, 'to_dict') else dict(config.model)
    for key in ('teacher', 'distillation', 'proposer'):
        model.pop(key, None)
    if not keep_mil and model.pop('mil_head', None) is not None:
        (model.get('test_cfg') or {}).pop('score_source', None)
    dataset = config.test_dataloader.dataset
    pipeline = []
    for step in dataset.pipeline:
        step = dict(step)
        if str(step['type']).endswith('InferencerLoader'):
            step['type'] = 'LoadImageFromFile'
        if not str(step['type']).endswith('LoadAnnotations'):
            pipeline.append(step)
    settings = {
        'custom_imports': {'imports': ['ldwsccd_mmdet'], 'allow_failed_imports': False},
        'default_scope': 'mmdet',
        'model': model,
        'test_dataloader': {
            'dataset': {
                'type': 'CervicalCellDataset',
                'metainfo': {'classes': tuple(inferencer.info.classes)},
                'pipeline': pipeline,
            }
        },
        'visualizer': {'type': 'CytologyVisualizer', 'name': 'visualizer'},
    }
    return Config(settings).pretty_text
