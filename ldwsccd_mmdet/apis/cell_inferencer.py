"""mmdet's inferencer, for checkpoints alone as well, with results that say what they are."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.apis import DetInferencer
from mmdet.registry import DATASETS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate

from ..datasets.plain_dataset import innermost
from ..engine.checkpoint_file import read_checkpoint
from ..engine.config_file import TEACHING_PARTS, load_config
from ..engine.model_weights import demand_mil_head, demand_weights, find_weights_of, is_student
from ..engine.received_config import received_config
from ..errors import CheckpointError, ConfigError
from ..models.utils import checkpoint_classes
from ..regular_files import read_json
from .cell_detections import CellDetections
from .cell_detector import DetectorInfo, check_images
from .prediction import digest_of

__all__ = ['CellInferencer', 'read_checkpoint']

CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.safetensors')
_OLD_LOADER = 'LoadVerifiedImageFromFile'
#: Parts that training needs and inference does not.
_TRAINING_PARTS = (*TEACHING_PARTS, 'proposer')


class CellInferencer(DetInferencer):
    """Finds cells with a config and its weights, or with a checkpoint that holds its config.

    What :class:`mmdet.apis.DetInferencer` does, it does too: ``inferencer(images, out_dir=...)``.
    Each entry of ``predictions`` is a dict of lists, best first: ``bboxes`` (x1, y1, x2, y2, pixels
    of the image file), ``scores``, ``labels`` (class indices) and ``names`` (class names). Besides,
    :meth:`detect` gives :class:`~ldwsccd_mmdet.apis.CellDetections`, and takes arrays.

    Teacher and distillation are left out: inference needs neither. The config in a checkpoint is
    read without running it.

    Args:
        model: A config file, which is run and hence trusted, a config, or a checkpoint.
        weights: The checkpoint; its own config is used where ``model`` is None.
        device: Such as ``'cpu'`` or ``'cuda:0'``; None: the accelerator if there is one.
        palette: See :class:`mmdet.apis.DetInferencer`.
        show_progress: Whether calls show a progress bar.

    Attributes:
        info: What is known of the detector, a :class:`~.cell_detector.DetectorInfo`.

    Raises:
        CheckpointError: The checkpoint can't be read, holds no config that can be read without
            running it, no classes, or lacks weights of the model.
        ConfigError: The config can't be read.

    Example::

        from ldwsccd_mmdet.apis import CellInferencer

        inferencer = CellInferencer('epoch_20.pth')
        cells = inferencer.detect([cv2.imread('field.png')])[0].above(0.2)
        print(cells.counts())
    """

    def __init__(
        self,
        model: str | Path | Config | ConfigDict | None = None,
        weights: str | Path | None = None,
        device: str | None = None,
        palette: str = 'none',
        show_progress: bool = False,
    ) -> None:
        if isinstance(model, (str, Path)) and str(model).endswith(CHECKPOINT_SUFFIXES):
            if weights is not None:
                raise ConfigError(f"model '{model}' is a checkpoint: give weights or it, not both")
            model, weights = None, model
        if weights is None:
            raise ConfigError(
                'weights: expected a checkpoint, found None; give one beside a config'
            )
        self.checkpoint_file = str(weights)
        self._checkpoint = read_checkpoint(self.checkpoint_file)
        if model is None:
            config = received_config(self._checkpoint, self.checkpoint_file)
        elif isinstance(model, (str, Path)):
            config = load_config(str(model), need=('model',))
        else:
            config = copy.deepcopy(model)
        _for_inference(config)
        super().__init__(config, self.checkpoint_file, device, 'mmdet', palette, show_progress)
        self.info = self._describe()
        self._checkpoint = {}

    def _init_model(self, cfg: Any, weights: str | None, device: str = 'cpu') -> torch.nn.Module:
        """Build the model and load its weights, all of them."""
        model = MODELS.build(cfg.model)
        fit = find_weights_of(model, self._checkpoint, self.checkpoint_file)
        demand_weights(fit.of(is_student), self.checkpoint_file)
        demand_mil_head(model, fit, self.checkpoint_file)
        model.cfg = cfg
        self._load_weights_to_model(model, {**self._checkpoint, 'state_dict': fit.state}, cfg)
        _check_classes(model, self.checkpoint_file)
        return model.to(device).eval()

    def _load_weights_to_model(self, model: Any, checkpoint: dict | None, cfg: Any) -> None:
        """Load weights, class names and colours."""
        meta = _dataset_meta(checkpoint or {}, cfg, self.checkpoint_file)
        model.load_state_dict((checkpoint or {})['state_dict'], strict=False)
        model.dataset_meta = meta
        if self.palette != 'none':
            meta['palette'] = self.palette
        meta.setdefault('palette', 'random')

    def _init_pipeline(self, cfg: Any) -> Compose:
        """Initialise the test pipeline, whatever data set wraps it."""
        cfg.test_dataloader.dataset = innermost(cfg.test_dataloader.dataset)
        return super()._init_pipeline(cfg)

    def _init_collate(self, cfg: Any) -> Callable:
        """Batch images and their originals, as loaders do by default.

        mmengine looks for the loader's own function in a registry that mmdet lacks, and warns.
        """
        return pseudo_collate

    def _init_visualizer(self, cfg: Any) -> Any:
        """Draw as our configs do where a config says nothing of it: mmdet's fails there.

        What logs a training (files, TensorBoard) has no folder here, and is left out.
        """
        if not cfg.get('visualizer'):
            cfg.visualizer = dict(type='CytologyVisualizer', name='visualizer')
        if not cfg.visualizer.get('save_dir'):
            cfg.visualizer['vis_backends'] = None
        return super()._init_visualizer(cfg)

    def _describe(self) -> DetectorInfo:
        """Gather what prediction wants to know of the model."""
        meta = self.model.dataset_meta
        scales = [
            step['scale']
            for step in self.cfg.test_dataloader.dataset.pipeline
            if step.get('type') == 'Resize' and 'scale' in step
        ]
        size = (int(scales[0][0]), int(scales[0][1])) if scales else None
        test_cfg = self.cfg.model.get('test_cfg') or {}
        nms = (test_cfg.get('rcnn') or test_cfg).get('nms') or {}
        field_size = meta.get('field_size') or _median_size(self.cfg)
        return DetectorInfo(
            name=Path(self.checkpoint_file).name,
            digest=digest_of(self.checkpoint_file),
            classes=tuple(meta['classes']),
            input_size=size,
            stride=_least_stride(self.model),
            nms_iou=float(nms.get('iou_threshold', 0.5)),
            field_size=tuple(field_size) if field_size else None,
            mpp=float(meta['mpp']) if meta.get('mpp') else None,
            score_thr=_best_score(self._checkpoint, meta),
        )

    @property
    def score_source(self) -> str:
        """Whose scores detections have: ``'ssd'``, the student's own, or those of both heads."""
        return str(getattr(self.model, 'score_source', 'ssd'))

    def detect(self, images: Sequence[np.ndarray]) -> list[CellDetections]:
        """Find the cells of images.

        Args:
            images: BGR, each ``(H, W, 3)`` and ``uint8``, of any sizes; as one batch.

        Returns:
            For each image its cells, in its pixels.

        Raises:
            ConfigError: If one of them is no such array.
        """
        check_images(images)
        if not len(images):
            return []
        results = []
        for originals, data in self.preprocess(list(images), batch_size=len(images)):
            for image, sample in zip(originals, self.forward(data), strict=True):
                found = sample.pred_instances.cpu().numpy()
                results.append(
                    CellDetections(
                        found.bboxes,
                        found.scores,
                        found.labels,
                        tuple(self.model.dataset_meta['classes']),
                        (image.shape[1], image.shape[0]),
                    )
                )
        return results

    def pred2dict(self, data_sample: DetDataSample, pred_out_dir: str = '') -> dict:
        """Add the class names to mmdet's dict of a prediction."""
        result = super().pred2dict(data_sample, pred_out_dir)
        classes = self.model.dataset_meta['classes']
        return {**result, 'names': [classes[label] for label in result.get('labels', [])]}


def _check_classes(model: Any, source: str) -> None:
    """Refuse class names that are not as many as the head tells apart."""
    number = getattr(getattr(model, 'bbox_head', None), 'num_classes', None)
    classes = model.dataset_meta['classes']
    if isinstance(number, int) and number != len(classes):
        raise CheckpointError(
            f"checkpoint '{source}' has {len(classes)} class names ({', '.join(classes)}) and a "
            f'head of {number}: give the config that it was trained with'
        )


def _dataset_meta(checkpoint: Mapping[str, Any], cfg: Any, source: str) -> dict[str, Any]:
    """Class names and colours: the checkpoint's, else the data set's of the config."""
    meta = checkpoint.get('meta')
    of_data = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    found = {}
    if isinstance(of_data, Mapping):
        found = {str(key).lower(): value for key, value in of_data.items()}
    found.pop('classes', None)
    if trained := checkpoint_classes(meta):
        found['classes'] = trained
    dataset = copy.deepcopy(innermost(cfg.test_dataloader.dataset))
    if 'datasets' not in dataset:
        dataset['lazy_init'] = True
        named = DATASETS.build(dataset).metainfo
        explicit = bool((dataset.get('metainfo') or {}).get('classes'))
        if 'classes' not in found and (explicit or named.get('classes')):
            found['classes'] = named['classes']
        if found.get('classes') and tuple(found['classes']) == tuple(named.get('classes') or ()):
            found.setdefault('palette', named.get('palette', 'random'))
    classes = found.get('classes')
    if not classes or isinstance(classes, str):
        raise CheckpointError(
            f"checkpoint '{source}' has no classes (meta.dataset_meta), nor has its config: add "
            'metainfo=dict(classes=(...)) to test_dataloader.dataset'
        )
    found['classes'] = tuple(classes)
    return found


def _for_inference(config: Any) -> None:
    """Take out of a config what only training needs; give old loaders their new name."""
    if 'model' not in config or 'test_dataloader' not in config:
        raise ConfigError('the config needs model and test_dataloader: give one of a training')
    for part in _TRAINING_PARTS:
        if config.model.get(part) is not None:
            config.model[part] = None
    _drop_init_cfg(config.model)
    dataset = innermost(config.test_dataloader.dataset)
    if not dataset.get('pipeline'):
        raise ConfigError(
            f'test_dataloader.dataset ({dataset.get("type")}) has no pipeline: give a config that '
            'tests on one data set'
        )
    pipeline = []
    for step in dataset.pipeline:
        if str(step['type']).rpartition('.')[2] == _OLD_LOADER:
            step = {**step, 'type': 'LoadImageFromFile'}
            pipeline += [step, {'type': 'VerifyImage'}]
        else:
            pipeline.append(step)
    dataset.pipeline = [ConfigDict(step) for step in pipeline]


def _drop_init_cfg(part: Any) -> None:
    """No weights are fetched for a model that gets its own."""
    if isinstance(part, dict):
        if part.get('init_cfg') is not None:
            part['init_cfg'] = None
        for value in part.values():
            _drop_init_cfg(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _drop_init_cfg(value)


def _least_stride(model: torch.nn.Module) -> int:
    """Least stride of the priors of a detector; 8 where it has none."""
    head = getattr(model, 'rpn_head', None) or getattr(model, 'bbox_head', None)
    strides = getattr(getattr(head, 'prior_generator', None), 'strides', None)
    return int(min(min(stride) for stride in strides)) if strides else 8


def _median_size(config: Any) -> tuple[int, int] | None:
    """Median width and height of the training images, where their annotation file is there."""
    try:
        dataset = innermost(config.train_dataloader.dataset)
        file = Path(dataset.get('data_root') or '', dataset.ann_file)
        images = read_json(file)['images']
        sizes = np.array([(image['width'], image['height']) for image in images], float)
        width, height = np.median(sizes, axis=0)
    except (AttributeError, KeyError, OSError, ValueError, TypeError):
        return None
    return int(width), int(height)


def _best_score(checkpoint: Mapping[str, Any], meta: Mapping[str, Any]) -> float | None:
    """Score of the best F1 at the last validation, where CytologyMetric was among its metrics.

    A published checkpoint has it in its ``dataset_meta``.
    """
    scalars = (checkpoint.get('message_hub') or {}).get('log_scalars') or {}
    history = scalars.get('val/cytology/score_thr')
    try:
        value = float(history.current() if history is not None else meta['score_thr'])
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        return None
    return value if np.isfinite(value) else None
