"""A checkpoint to give away: the student alone, with its config and a hash in its name."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..datasets.coco_json import load_truth
from ..engine.checkpoint_file import read_checkpoint
from ..engine.config_file import TEACHING_PARTS
from ..errors import CheckpointError, InputError
from ..optional import require
from ..version import __version__
from .cell_inferencer import CellInferencer
from .score_choice import measure

__all__ = ['measured_student', 'publish_checkpoint']


def publish_checkpoint(
    inferencer: CellInferencer,
    out: Path,
    keep_mil: bool = False,
    results: Mapping[str, Any] | None = None,
) -> tuple[Path, str]:
    """Write the weights that detection needs, and nothing else.

    Teacher, distillation, optimizer, schedules, logs and, unless asked for, the MIL head are left
    out; the config inside says so too (``score_source='ssd'``), and names no path of this machine.

    Args:
        inferencer: The detector, as loaded.
        out: ``NAME.pth`` or ``NAME.safetensors``; the first 8 hex digits of the content's SHA-256
            are put before the suffix, as mmdet does.
        keep_mil: Keep the MIL head, for scores of both heads.
        results: What was measured of it, see :func:`measured_student`; kept in the file, as
            ``meta['dataset_meta']['results']``.

    Returns:
        The file, and in a few words what it holds.

    Raises:
        InputError: The suffix is another one, or safetensors is not installed.
        CheckpointError: Some of its weights are not finite.
    """
    if out.suffix not in ('.pth', '.safetensors'):
        raise InputError(f"--out: expected NAME.pth or NAME.safetensors, found '{out}'")
    state = _student_state(inferencer, keep_mil)
    dataset_meta = _dataset_meta(inferencer, keep_mil)
    if results is not None:
        dataset_meta['results'] = dict(results)
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
    number = len(dataset_meta['classes'])
    return file, f'{millions:.2f} million numbers, {number} classes, {scores}'


def _student_state(inferencer: CellInferencer, keep_mil: bool) -> dict[str, torch.Tensor]:
    """Weights that detection needs."""
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
    return state


def _dataset_meta(inferencer: CellInferencer, keep_mil: bool) -> dict[str, Any]:
    """What is known of data and model; a score cut of both heads fits no student alone."""
    info = inferencer.info
    keys = ['mpp', 'field_size']
    if keep_mil or inferencer.score_source == 'ssd':
        keys.append('score_thr')
    known = {key: getattr(info, key) for key in keys}
    return {
        'classes': list(info.classes),
        **{key: value for key, value in known.items() if value is not None},
    }


def measured_student(
    inferencer: CellInferencer,
    ann_file: Path,
    images: Path,
    keep_mil: bool = False,
    progress: Callable[[int, int, str], Any] = lambda done, total, name: None,
) -> dict[str, Any]:
    """Measure what :func:`publish_checkpoint` would write, on annotated images.

    Args:
        inferencer: The detector, as loaded.
        ann_file: COCO json of images that it was not trained on.
        images: Folder of its images.
        keep_mil: Whether the MIL head is kept.
        progress: Called before each image with the number done, of all, and its name.

    Returns:
        ``ap50`` and ``ap50_by_class`` in percent (the latter None where a class has no truth),
        ``images``, ``boxes``, ``annotations`` (the file's name), ``annotations_sha256``, ``model``
        and ``model_digest`` (the checkpoint's), and ``score_source``.

    Raises:
        DatasetError: The file can't be read, or its images are missing.
    """
    with tempfile.TemporaryDirectory() as folder:
        file, _ = publish_checkpoint(inferencer, Path(folder) / 'student.pth', keep_mil)
        student = CellInferencer(str(file), device=str(next(inferencer.model.parameters()).device))
        metrics = measure(student, ann_file, images, progress=progress)
    classes = student.info.classes
    of_class = {
        name: None if math.isnan(value) else round(100 * float(value), 2)
        for name, value in zip(classes, metrics.ap, strict=True)
    }
    return {
        'ap50': round(100 * metrics.mean_ap, 2),
        'ap50_by_class': of_class,
        'images': len(load_truth(ann_file).imgs),
        'boxes': int(metrics.num_truths.sum()),
        'annotations': ann_file.name,
        'annotations_sha256': hashlib.sha256(ann_file.read_bytes()).hexdigest(),
        'model': inferencer.info.name,
        'model_digest': inferencer.info.digest,
        'score_source': student.score_source,
    }


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
    for key in (*TEACHING_PARTS, 'proposer'):
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
