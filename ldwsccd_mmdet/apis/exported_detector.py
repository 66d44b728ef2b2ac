"""A detector that was exported: ONNX or OpenVINO, without torch and mmdet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import CheckpointError
from ..optional import require
from .cell_detections import CellDetections
from .cell_detector import DetectorInfo, check_images

__all__ = [
    'EXPORTED_SUFFIXES',
    'METADATA_KEY',
    'ExportedDetector',
    'open_model',
    'select_boxes',
]

EXPORTED_SUFFIXES = ('.onnx', '.xml')
#: Name of the metadata in an exported file, JSON: see ``docs/predict.md``.
METADATA_KEY = 'ldwsccd'
_NEEDED = ('classes', 'input_size', 'score_thr', 'nms_iou', 'nms_pre', 'max_per_img', 'level_sizes')


class ExportedDetector:
    """Finds cells with an exported student; a :class:`~.cell_detector.CellDetector`.

    The file takes RGB images (N, 3, H, W) of the network's size, values 0 to 255, and gives boxes
    (N, A, 4) in pixels of that size and scores (N, A, C). What follows (threshold, the best
    ``nms_pre`` of each level, NMS of each class, the best ``max_per_img``) is done here as mmdet
    does it, unless the file holds NMS itself.

    Args:
        path: ``.onnx``, or OpenVINO's ``.xml`` with its ``.bin`` beside it.
        threads: Threads of the run time; 0: its own choice.

    Raises:
        CheckpointError: The file is not one of ``ldwsccd export``.
        InputError: onnxruntime or openvino is not installed (extra ``export``).
    """

    def __init__(self, path: str | Path, threads: int = 0) -> None:
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"model '{path}' does not exist: check the path")
        self._run = open_model(path, threads)
        self.metadata = _checked(self._run.metadata, path)
        meta = self.metadata
        self._size: tuple[int, int] = tuple(meta['input_size'])
        self._has_nms = bool(meta.get('nms', False))
        field_size = meta.get('field_size')
        self.info = DetectorInfo(
            name=path.name,
            digest=meta.get('digest', path.name),
            classes=tuple(meta['classes']),
            input_size=self._size,
            stride=int(meta.get('stride', 8)),
            nms_iou=float(meta['nms_iou']),
            field_size=tuple(field_size) if field_size else None,
            mpp=meta.get('mpp'),
            score_thr=meta.get('best_f1_score'),
        )

    def detect(self, images: Sequence[np.ndarray]) -> list[CellDetections]:
        """Find the cells of images; see :class:`~.cell_detector.CellDetector`."""
        check_images(images)
        if not len(images):
            return []
        resized = [cv2.resize(image, self._size) for image in images]
        batch = np.stack([image[..., ::-1] for image in resized]).transpose(0, 3, 1, 2)
        outputs = self._run(np.ascontiguousarray(batch, np.float32))
        if self._has_nms:
            found = _split(outputs[0], len(images), self.metadata['max_per_img'])
        else:
            found = self._select(*outputs)
        results = []
        for image, (boxes, scores, labels) in zip(images, found, strict=True):
            height, width = image.shape[:2]
            scale = np.array([width / self._size[0], height / self._size[1]] * 2)
            results.append(
                CellDetections(boxes * scale, scores, labels, self.info.classes, (width, height))
            )
        return results

    def _select(
        self, boxes: np.ndarray, scores: np.ndarray
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        meta = self.metadata
        return [
            select_boxes(
                box,
                score,
                meta['level_sizes'],
                meta['score_thr'],
                meta['nms_pre'],
                meta['nms_iou'],
                meta['max_per_img'],
                meta.get('min_bbox_size', 0),
            )
            for box, score in zip(boxes, scores, strict=True)
        ]


def select_boxes(
    boxes: np.ndarray,
    scores: np.ndarray,
    level_sizes: Sequence[int],
    score_thr: float,
    nms_pre: int,
    nms_iou: float,
    max_per_img: int,
    min_bbox_size: float = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Choose detections of one image as mmdet's dense heads do.

    Args:
        boxes: Decoded boxes of all priors, shape ``(A, 4)``.
        scores: Their class scores, shape ``(A, C)``.
        level_sizes: Number of priors of each level; they sum to A.
        score_thr: Scores must lie above it.
        nms_pre: Most pairs of prior and class of a level that go on.
        nms_iou: Overlap from which NMS drops the lower one, within a class.
        max_per_img: Most detections.
        min_bbox_size: Boxes must be wider and higher, pixels.

    Returns:
        Boxes (n, 4), scores (n,) falling, and labels (n,).
    """
    kept = []
    start = 0
    for number in level_sizes:
        prior, label = np.nonzero(scores[start : start + number] > score_thr)
        value = scores[start + prior, label]
        best = np.argsort(-value, kind='stable')[:nms_pre]
        kept.append((start + prior[best], label[best], value[best]))
        start += number
    prior, label, value = (np.concatenate(part) for part in zip(*kept, strict=True))
    chosen = boxes[prior]
    if min_bbox_size >= 0:
        big = ((chosen[:, 2:] - chosen[:, :2]) > min_bbox_size).all(1)
        chosen, label, value = chosen[big], label[big], value[big]
    keep = _nms_by_class(chosen, value, label, nms_iou)[:max_per_img]
    return chosen[keep].astype(np.float64), value[keep].astype(np.float64), label[keep]


def _nms_by_class(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou_thr: float
) -> np.ndarray:
    """Greedy NMS within each class; indices by falling score."""
    keep: list[int] = []
    for label in np.unique(labels):
        order = np.flatnonzero(labels == label)
        order = order[np.argsort(-scores[order], kind='stable')]
        while len(order):
            best, order = order[0], order[1:]
            keep.append(int(best))
            low = np.maximum(boxes[best, :2], boxes[order, :2])
            high = np.minimum(boxes[best, 2:], boxes[order, 2:])
            common = (high - low).clip(min=0).prod(1)
            area = (boxes[order, 2:] - boxes[order, :2]).prod(1)
            own = (boxes[best, 2:] - boxes[best, :2]).prod()
            order = order[common <= iou_thr * (area + own - common)]
    chosen = np.asarray(keep, int)
    return chosen[np.argsort(-scores[chosen], kind='stable')]


def _split(
    rows: np.ndarray, number: int, max_per_img: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Sort the rows (image, class, score, box) of a file with NMS by image, best first."""
    found = []
    for index in range(number):
        mine = rows[rows[:, 0] == index]
        mine = mine[np.argsort(-mine[:, 2], kind='stable')][:max_per_img]
        found.append((mine[:, 3:], mine[:, 2], mine[:, 1].astype(int)))
    return found


def _checked(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """Read the metadata of an exported file.

    Raises:
        CheckpointError: It is not there, or lacks something.
    """
    try:
        content = json.loads(metadata[METADATA_KEY])
        missing = [key for key in _NEEDED if key not in content]
    except (KeyError, ValueError, TypeError):
        missing = list(_NEEDED)
    if missing:
        raise CheckpointError(
            f"model '{path}' was not written by ldwsccd export (it lacks {', '.join(missing)} in "
            f"its metadata '{METADATA_KEY}'): export the checkpoint again"
        )
    return content


def open_model(path: Path, threads: int = 0) -> _ONNXRuntime | _OpenVINO:
    """Open an exported file with its run time: what is called with a batch gives its outputs."""
    return _OpenVINO(path, threads) if path.suffix == '.xml' else _ONNXRuntime(path, threads)


class _ONNXRuntime:
    """Runs an ONNX file."""

    def __init__(self, path: Path, threads: int) -> None:
        runtime = require('onnxruntime', 'export', f"Model '{path}'")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        wanted = ('CUDAExecutionProvider', 'CPUExecutionProvider')
        there = runtime.get_available_providers()
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=[name for name in wanted if name in there]
            )
        except Exception as error:  # each fault of a file has an exception of its own
            raise CheckpointError(
                f"model '{path}' is not an ONNX file that can be run ({str(error)[:200]}): export "
                'it again'
            ) from error
        self.metadata = self._session.get_modelmeta().custom_metadata_map
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        return self._session.run(None, {self._input: batch})


class _OpenVINO:
    """Runs an OpenVINO file."""

    def __init__(self, path: Path, threads: int) -> None:
        openvino = require('openvino', 'openvino', f"Model '{path}'")
        core = openvino.Core()
        try:
            model = core.read_model(str(path))
            settings = {'INFERENCE_NUM_THREADS': threads} if threads else {}
            # half floats would be its own choice on some machines
            self._model = core.compile_model(
                model, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32', **settings}
            )
        except RuntimeError as error:
            raise CheckpointError(
                f"model '{path}' is not an OpenVINO file that can be run ({str(error)[:200]}): "
                'export it again, and keep its .bin beside it'
            ) from error
        known = model.has_rt_info([METADATA_KEY])
        self.metadata = (
            {METADATA_KEY: str(model.get_rt_info([METADATA_KEY]).value)} if known else {}
        )

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        outputs = self._model(batch)
        return [outputs[i] for i in range(len(outputs))]
