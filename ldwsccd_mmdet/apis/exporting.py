"""Export a student: normalisation and decoding inside, checked against torch."""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.detectors import SingleStageDetector
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from ..optional import require
from ..version import __version__
from .cell_inferencer import CellInferencer
from .exported_detector import METADATA_KEY, ExportedDetector, open_model

__all__ = ['ExportedStudent', 'export_detector']

#: Parity that an exported file must have with torch.
BOX_TOLERANCE, SCORE_TOLERANCE = 1e-2, 1e-4
_OPSET = 17


class ExportedStudent(nn.Module):
    r"""A single-stage detector with what surrounds its network.

    For images :math:`I` in RGB and 0 to 255 it computes :math:`(I - mean) / std`, the network, the
    softmax (or sigmoid) of the class logits, and from prior :math:`(x, y, w, h)` and deltas
    :math:`(d_x, d_y, d_w, d_h) = std \cdot t + mean` the box

    .. math::
        x' = x + w d_x,\quad y' = y + h d_y,\quad w' = w e^{d_w},\quad h' = h e^{d_h}

    with :math:`d_w, d_h` clipped to :math:`\pm |\log(16/1000)|`, then the box to the image, as
    mmdet's ``DeltaXYWHBBoxCoder`` does.

    Args:
        model: The detector; its head must be an ``AnchorHead`` with ``DeltaXYWHBBoxCoder``.
        input_size: Width and height of its images, pixels.

    Raises:
        ConfigError: The detector is of another kind.
    """

    priors: Tensor
    image_mean: Tensor
    image_std: Tensor
    box_mean: Tensor
    box_std: Tensor

    def __init__(self, model: nn.Module, input_size: tuple[int, int]) -> None:
        super().__init__()
        head = getattr(model, 'bbox_head', None)
        if (
            not isinstance(model, SingleStageDetector)
            or not isinstance(head, AnchorHead)
            or not isinstance(head.bbox_coder, DeltaXYWHBBoxCoder)
        ):
            raise ConfigError(
                'export: expected a single-stage detector whose head has priors and '
                f'DeltaXYWHBBoxCoder, as SSD, found {type(model).__name__} with '
                f'{type(head).__name__}; other detectors go through mmdeploy'
            )
        self.model = model.eval()
        self.width, self.height = input_size
        preprocessor = model.data_preprocessor
        divisor = getattr(preprocessor, 'pad_size_divisor', 1)
        if self.width % divisor or self.height % divisor:
            raise ConfigError(
                f'export: the input of {self.width} x {self.height} px would be padded to a '
                f'multiple of {divisor}: set Resize.scale of the test pipeline to one'
            )
        whole = torch.ones(3, 1, 1)
        normalize = getattr(preprocessor, '_enable_normalize', False)
        mean, std = (preprocessor.mean, preprocessor.std) if normalize else (0 * whole, whole)
        self.register_buffer('image_mean', mean.detach().clone())
        self.register_buffer('image_std', std.detach().clone())
        self.to_bgr = not preprocessor._channel_conversion
        coder = head.bbox_coder
        self.register_buffer('box_mean', torch.tensor(coder.means))
        self.register_buffer('box_std', torch.tensor(coder.stds))
        with torch.no_grad():
            example = torch.zeros(1, 3, self.height, self.width, device=self.image_mean.device)
            scores = head(model.extract_feat(example))[0]
        priors = head.prior_generator.grid_priors(
            [score.shape[-2:] for score in scores], device=example.device
        )
        self.register_buffer('priors', torch.cat(priors))
        self.level_sizes = [len(level) for level in priors]
        # torch.onnx.export brings all parts back to the mode of the whole
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Detect.

        Args:
            images: RGB, 0 to 255, shape (N, 3, H, W).

        Returns:
            Boxes ``x1, y1, x2, y2`` (N, A, 4) in pixels of the input, and scores (N, A, C).
        """
        if self.to_bgr:
            images = images.flip(1)
        feats = self.model.extract_feat((images - self.image_mean) / self.image_std)
        head = self.model.bbox_head
        logits, deltas = head(feats)[:2]
        number = images.shape[0]
        channels = head.cls_out_channels
        flat = [part.permute(0, 2, 3, 1).reshape(number, -1, channels) for part in logits]
        moved = [part.permute(0, 2, 3, 1).reshape(number, -1, 4) for part in deltas]
        scores = torch.cat(flat, 1)
        scores = scores.sigmoid() if head.use_sigmoid_cls else scores.softmax(-1)[..., :-1]
        return self._decode(torch.cat(moved, 1)), scores

    def _decode(self, deltas: Tensor) -> Tensor:
        """Turn deltas (N, A, 4) into boxes (N, A, 4)."""
        deltas = deltas * self.box_std + self.box_mean
        centre = (self.priors[:, :2] + self.priors[:, 2:]) * 0.5
        size = self.priors[:, 2:] - self.priors[:, :2]
        limit = float(np.abs(np.log(16 / 1000)))
        centre = centre + size * deltas[..., :2]
        half = size * deltas[..., 2:].clamp(-limit, limit).exp() * 0.5
        low, high = centre - half, centre + half
        x1, y1 = low[..., 0].clamp(0, self.width), low[..., 1].clamp(0, self.height)
        x2, y2 = high[..., 0].clamp(0, self.width), high[..., 1].clamp(0, self.height)
        return torch.stack([x1, y1, x2, y2], -1)


def export_detector(
    inferencer: CellInferencer,
    out: Path,
    images: Sequence[np.ndarray],
    nms: bool = False,
) -> dict[str, float]:
    """Export a student to ONNX or OpenVINO, and compare it with torch on images.

    The file takes batches of any size. Its metadata (key ``ldwsccd``, JSON) hold class names, mean,
    std, input size, micrometres a pixel, and what selects detections. The student's own head gives
    the scores: a MIL head that joins in ``score_source`` is not part of the file.

    Args:
        inferencer: The detector.
        out: ``.onnx``, or ``.xml`` for OpenVINO.
        images: BGR images for the comparison, of any sizes; at least one.
        nms: Put threshold and NMS into the file: rows (image, class, score, x1, y1, x2, y2).

    Returns:
        ``boxes`` and ``scores``: the largest differences, in pixels of the input and in [0, 1].

    Raises:
        ConfigError: The detector is of a kind that can't be exported.
        InputError: A package of the extra ``export`` is missing, or the file differs from torch.
    """
    info = inferencer.info
    if info.input_size is None:
        raise ConfigError(
            "export: the test pipeline has no Resize with a scale, so no input's size"
        )
    require('onnx', 'export', 'Export')
    student = ExportedStudent(inferencer.model, info.input_size).cpu()
    metadata = _metadata(inferencer, student, nms)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f'.{out.stem}.', dir=out.parent) as folder:
        differences, files = _write_checked(student, metadata, images, Path(folder), out.suffix)
        for file in files:
            os.replace(file, out.with_suffix(file.suffix))
    ExportedDetector(out).detect([images[0]])  # it can be read and run
    return differences


def _write_checked(
    student: ExportedStudent,
    metadata: dict[str, Any],
    images: Sequence[np.ndarray],
    folder: Path,
    suffix: str,
) -> tuple[dict[str, float], list[Path]]:
    """Write the file, or OpenVINO's two; each kind is compared as its own run time gives it.

    Returns:
        The largest differences, and the files; the one that names the other comes last.
    """
    part = folder / 'model.onnx'
    _write_onnx(student, part)
    checked = _as(suffix, part, metadata)
    differences = _compare(student, checked, images)
    if metadata['nms']:
        part = part.rename(folder / 'nms.onnx')
        _append_nms(part, metadata)
        checked = _as(suffix, part, metadata)
    if suffix == '.xml':
        return differences, [checked.with_suffix('.bin'), checked]
    _write_metadata(checked, metadata)
    return differences, [checked]


def _as(suffix: str, onnx_file: Path, metadata: dict[str, Any]) -> Path:
    """Give an ONNX file as the kind asked for."""
    if suffix != '.xml':
        return onnx_file
    out = onnx_file.with_suffix('.xml')
    _write_openvino(onnx_file, out, metadata)
    return out


def _metadata(inferencer: CellInferencer, student: ExportedStudent, nms: bool) -> dict[str, Any]:
    """What a program needs to use the file."""
    info = inferencer.info
    test_cfg = inferencer.cfg.model.test_cfg
    iou = test_cfg.nms.get('iou_threshold', 0.5)
    if test_cfg.nms.get('type', 'nms') != 'nms':
        raise ConfigError(
            f"model.test_cfg.nms.type: expected 'nms' for export, found '{test_cfg.nms.type}'; "
            "set it to 'nms', and measure what that changes"
        )
    return {
        'version': __version__,
        'model': info.name,
        'digest': info.digest,
        'classes': list(info.classes),
        'input_size': list(student_size(student)),
        'color': 'RGB',
        'mean': student.image_mean.flatten().tolist(),
        'std': student.image_std.flatten().tolist(),
        'level_sizes': student.level_sizes,
        'stride': info.stride,
        'score_thr': float(test_cfg.get('score_thr', 0.0)),
        'nms': nms,
        'nms_iou': float(iou),
        'nms_pre': int(test_cfg.get('nms_pre', 1000)),
        'max_per_img': int(test_cfg.get('max_per_img', 100)),
        'min_bbox_size': float(test_cfg.get('min_bbox_size', 0)),
        'field_size': list(info.field_size) if info.field_size else None,
        'mpp': info.mpp,
        # that of both heads' scores says nothing of the student's own
        'best_f1_score': info.score_thr if inferencer.score_source == 'ssd' else None,
    }


def student_size(student: ExportedStudent) -> tuple[int, int]:
    """Width and height of the images of an exported student."""
    return student.width, student.height


def _write_onnx(student: ExportedStudent, path: Path) -> None:
    """Trace the student into an ONNX file."""
    example = torch.rand(2, 3, student.height, student.width) * 255
    with torch.no_grad(), warnings.catch_warnings():
        # of the tracer, and of mmdet's shape checks, which are constants here
        warnings.simplefilter('ignore')
        torch.onnx.export(
            student,
            (example,),
            str(path),
            opset_version=_OPSET,
            dynamo=False,
            dynamic_axes={key: {0: 'batch'} for key in ('images', 'boxes', 'scores')},
            input_names=['images'],
            output_names=['boxes', 'scores'],
        )


def _compare(
    student: ExportedStudent, path: Path, images: Sequence[np.ndarray]
) -> dict[str, float]:
    """Compare file and torch on every prior of every image, each with its own run time."""
    import cv2

    run = open_model(path)
    worst = {'boxes': 0.0, 'scores': 0.0}
    for image in images:
        resized = cv2.resize(image, student_size(student))[..., ::-1]
        batch = np.ascontiguousarray(resized.transpose(2, 0, 1)[None], np.float32)
        with torch.no_grad():
            expected = student(torch.from_numpy(batch))
        found = run(batch)
        for key, one, other in zip(worst, expected, found, strict=True):
            worst[key] = max(worst[key], float(np.abs(one.numpy() - other).max()))
    if not worst['boxes'] <= BOX_TOLERANCE or not worst['scores'] <= SCORE_TOLERANCE:
        raise InputError(
            f'export: the file differs from torch by {worst["boxes"]:g} px and {worst["scores"]:g} '
            f'in score, where {BOX_TOLERANCE:g} and {SCORE_TOLERANCE:g} are allowed: nothing was '
            'written; try another version of onnxruntime or openvino'
        )
    return worst


def _append_nms(path: Path, metadata: dict[str, Any]) -> None:
    """Put ONNX's NonMaxSuppression behind boxes and scores.

    Its output rows are image, class, score, x1, y1, x2, y2.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(str(path))
    graph = model.graph

    def constant(name: str, value: Any, kind: int) -> None:
        array = np.asarray(value)
        graph.initializer.append(
            helper.make_tensor(name, kind, array.shape, array.flatten().tolist())
        )

    constant('nms_most', [metadata['max_per_img']], TensorProto.INT64)
    constant('nms_iou', [metadata['nms_iou']], TensorProto.FLOAT)
    constant('nms_score', [metadata['score_thr']], TensorProto.FLOAT)
    constant('nms_columns', [0, 2], TensorProto.INT64)
    constant('nms_axis', [1], TensorProto.INT64)
    node = helper.make_node
    graph.node.extend(
        [
            node('Transpose', ['scores'], ['nms_scores'], perm=[0, 2, 1]),
            node(
                'NonMaxSuppression',
                ['boxes', 'nms_scores', 'nms_most', 'nms_iou', 'nms_score'],
                ['nms_chosen'],
            ),
            node('Gather', ['nms_chosen', 'nms_columns'], ['nms_prior'], axis=1),
            node('GatherND', ['boxes', 'nms_prior'], ['nms_boxes']),
            node('GatherND', ['nms_scores', 'nms_chosen'], ['nms_flat']),
            node('Unsqueeze', ['nms_flat', 'nms_axis'], ['nms_score_column']),
            node('Cast', ['nms_chosen'], ['nms_float'], to=TensorProto.FLOAT),
            node('Slice', ['nms_float', 'nms_from', 'nms_to', 'nms_axis'], ['nms_ids']),
            node('Concat', ['nms_ids', 'nms_score_column', 'nms_boxes'], ['detections'], axis=1),
        ]
    )
    constant('nms_from', [0], TensorProto.INT64)
    constant('nms_to', [2], TensorProto.INT64)
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info('detections', TensorProto.FLOAT, ['cells', 7])
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _write_metadata(path: Path, metadata: dict[str, Any]) -> None:
    """Put the metadata into an ONNX file."""
    import onnx

    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(metadata)})
    onnx.save(model, str(path))


def _write_openvino(source: Path, out: Path, metadata: dict[str, Any]) -> None:
    """Convert an ONNX file to OpenVINO's two, in full precision."""
    openvino = require('openvino', 'openvino', 'Export to OpenVINO')
    model = openvino.convert_model(str(source))
    model.set_rt_info(json.dumps(metadata), [METADATA_KEY])
    openvino.save_model(model, str(out), compress_to_fp16=False)
