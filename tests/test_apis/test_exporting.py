"""Exported files find what torch finds, and need neither it nor mmdet; published ones are small."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ldwsccd_mmdet.apis import (
    CellInferencer,
    ExportedDetector,
    export_detector,
    exported_detector,
    publish_checkpoint,
)
from ldwsccd_mmdet.apis.exporting import BOX_TOLERANCE, SCORE_TOLERANCE, ExportedStudent
from ldwsccd_mmdet.errors import CheckpointError, ConfigError, InputError
from tests.commands import run
from tests.test_apis.conftest import CLASSES, Trained

ROOT = Path(__file__).resolve().parents[2]
WHY = "needs pip install 'ldwsccd_mmdet[export]'"
needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime')),
    reason=WHY,
)


@pytest.fixture(scope='module')
def inferencer(trained: Trained) -> CellInferencer:
    return CellInferencer(weights=trained.checkpoint, device='cpu')


@pytest.fixture(scope='module')
def exported(inferencer, fields, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('exported') / 'a.onnx'
    worst = export_detector(inferencer, out, fields)
    assert worst['boxes'] <= BOX_TOLERANCE and worst['scores'] <= SCORE_TOLERANCE
    assert [file.name for file in out.parent.iterdir()] == ['a.onnx']
    return out


def same(found, expected) -> None:
    """Same cells, in pixels of the image file."""
    assert len(found) == len(expected) > 5
    assert np.abs(found.scores - expected.scores).max() <= SCORE_TOLERANCE
    # boxes of equal score may change places
    for box, label in zip(expected.bboxes, expected.labels, strict=True):
        near = np.abs(found.bboxes - box).max(1) <= 3 * BOX_TOLERANCE
        assert (near & (found.labels == label)).any()


def test_the_student_decodes_as_mmdet_does(inferencer, fields) -> None:
    student = ExportedStudent(inferencer.model, (256, 256))
    image = cv2.resize(fields[0], (256, 256))
    batch = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))[
        None
    ].float()
    with torch.no_grad():
        boxes, scores = student(batch)
    expected = inferencer.detect([image])[0]
    assert boxes.shape[1:] == (sum(student.level_sizes), 4) and scores.shape[2] == len(CLASSES)
    for box, score, label in zip(expected.bboxes, expected.scores, expected.labels, strict=True):
        gap = np.abs(boxes[0].numpy() - box).max(1) + np.abs(scores[0, :, label].numpy() - score)
        assert gap.min() < 2e-3


@needs_onnx
def test_onnx_finds_what_torch_finds(exported: Path, inferencer, fields) -> None:
    detector = ExportedDetector(exported)
    for found, expected in zip(detector.detect(fields), inferencer.detect(fields), strict=True):
        same(found, expected)
    alone = detector.detect(fields[2:])[0]
    assert np.allclose(alone.bboxes, detector.detect(fields)[2].bboxes, atol=1e-3)


@needs_onnx
def test_metadata(exported: Path, inferencer) -> None:
    import onnx

    content = {p.key: p.value for p in onnx.load(str(exported)).metadata_props}
    meta = json.loads(content['ldwsccd'])
    assert meta['classes'] == list(CLASSES) and meta['input_size'] == [256, 256]
    assert meta['mpp'] == 0.25 and meta['nms'] is False and meta['color'] == 'RGB'
    assert np.allclose(meta['mean'], [123.675, 116.28, 103.53]) and np.allclose(meta['std'], 1)
    info = ExportedDetector(exported).info
    assert info.classes == CLASSES and info.digest == inferencer.info.digest and info.stride == 8


@needs_onnx
def test_nms_inside(inferencer, fields, tmp_path: Path) -> None:
    out = tmp_path / 'nms.onnx'
    export_detector(inferencer, out, fields, nms=True)
    for found, expected in zip(
        ExportedDetector(out).detect(fields), inferencer.detect(fields), strict=True
    ):
        same(found, expected)


def test_openvino_by_the_command(trained: Trained, inferencer, fields, tmp_path, capsys) -> None:
    pytest.importorskip('openvino', reason="needs pip install 'ldwsccd_mmdet[openvino]'")
    (tmp_path / 'in').mkdir()
    for index, image in enumerate(fields):
        cv2.imwrite(str(tmp_path / 'in' / f'{index}.png'), image)
    out = tmp_path / 'out' / 'a.xml'
    arguments = ('--format', 'openvino', '--out', out, '--images', tmp_path / 'in')
    assert run('export', trained.checkpoint, *arguments) == 0
    pixels, score = re.findall(r'\d\.\de[+-]\d\d', capsys.readouterr().out)
    assert float(pixels) <= BOX_TOLERANCE and float(score) <= SCORE_TOLERANCE
    assert sorted(file.name for file in out.parent.iterdir()) == ['a.bin', 'a.xml']
    same(ExportedDetector(out).detect(fields[:1])[0], inferencer.detect(fields[:1])[0])


@pytest.mark.parametrize('suffix', ['.onnx', '.xml'])
def test_what_is_compared_is_what_will_run(
    inferencer, fields, tmp_path: Path, monkeypatch, suffix: str
) -> None:
    """A run time that gives other numbers than torch does is found at export, each by itself."""
    runtime = {'.onnx': 'onnxruntime', '.xml': 'openvino'}[suffix]
    pytest.importorskip(runtime, reason=f"needs pip install 'ldwsccd_mmdet[{runtime}]'")
    kind = getattr(exported_detector, {'.onnx': '_ONNXRuntime', '.xml': '_OpenVINO'}[suffix])

    class Wrong(kind):
        def __call__(self, batch):
            return [output + 0.5 for output in super().__call__(batch)]

    monkeypatch.setattr(exported_detector, kind.__name__, Wrong)
    with pytest.raises(InputError, match=r'differs from torch by 0\.5'):
        export_detector(inferencer, tmp_path / f'a{suffix}', fields[:1])
    assert not list(tmp_path.iterdir())


ALONE = """
import sys

for name in ('torch', 'mmdet', 'mmcv', 'mmengine'):
    sys.modules[name] = None
from ldwsccd.main import main

code = main(['predict', *sys.argv[1:]])
assert not any(sys.modules.get(name) for name in ('torch', 'mmdet', 'mmcv', 'mmengine'))
sys.exit(code)
"""


@needs_onnx
def test_the_command_needs_neither_torch_nor_mmdet(exported, inferencer, fields, tmp_path) -> None:
    (tmp_path / 'in').mkdir()
    for index, image in enumerate(fields):
        cv2.imwrite(str(tmp_path / 'in' / f'{index}.png'), image)
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            ALONE,
            str(exported),
            str(tmp_path / 'in'),
            '--out',
            str(tmp_path / 'out'),
            '--score-thr',
            '0.2',
        ],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / 'out' / 'results.json').read_text())
    assert len(results) == sum(map(len, inferencer.detect(fields)))


@needs_onnx
def test_refuses_other_files(tmp_path: Path, inferencer, fields, monkeypatch) -> None:
    import onnx
    from onnx import TensorProto, helper

    plain = helper.make_graph(
        [helper.make_node('Identity', ['a'], ['b'])],
        'g',
        [helper.make_tensor_value_info('a', TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info('b', TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(plain, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.save(model, str(tmp_path / 'plain.onnx'))
    with pytest.raises(CheckpointError, match='not written by ldwsccd export'):
        ExportedDetector(tmp_path / 'plain.onnx')
    (tmp_path / 'bad.onnx').write_bytes(b'no model')
    with pytest.raises(CheckpointError, match='export it again'):
        ExportedDetector(tmp_path / 'bad.onnx')
    monkeypatch.setattr('ldwsccd_mmdet.apis.exporting.SCORE_TOLERANCE', -1.0)
    with pytest.raises(InputError, match='differs from torch'):
        export_detector(inferencer, tmp_path / 'c.onnx', fields[:1])
    assert not (tmp_path / 'c.onnx').exists()


def test_other_detectors_are_refused() -> None:
    with pytest.raises(ConfigError, match='expected a single-stage detector'):
        ExportedStudent(torch.nn.Linear(1, 1), (8, 8))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_publish(trained_both: Trained, fields, tmp_path: Path, suffix: str) -> None:
    if suffix == '.safetensors':
        pytest.importorskip('safetensors', reason=WHY)
    whole = CellInferencer(trained_both.checkpoint, device='cpu')
    file, _ = publish_checkpoint(whole, tmp_path / f'cells{suffix}')
    assert file.name.startswith('cells-') and len(file.stem) == len('cells-12345678')
    assert file.stat().st_size < Path(trained_both.checkpoint).stat().st_size
    given = CellInferencer(file, device='cpu')
    state = given.model.state_dict()
    assert not any(key.startswith(('mil_head', 'teacher', 'distillation')) for key in state)
    assert given.info.classes == CLASSES
    whole.model.test_cfg['score_source'] = 'ssd'
    expected = whole.detect(fields[:1])[0]
    found = given.detect(fields[:1])[0]
    assert np.allclose(found.bboxes, expected.bboxes, atol=1e-3)
    assert str(ROOT) not in str(given.cfg.pretty_text)


def test_publish_keeps_the_mil_head_on_request(trained_both: Trained, fields, tmp_path) -> None:
    whole = CellInferencer(trained_both.checkpoint, device='cpu')
    file, what = publish_checkpoint(whole, tmp_path / 'both.pth', keep_mil=True)
    given = CellInferencer(file, device='cpu')
    assert 'both heads' in what and given.model.mil_head is not None
    assert given.model.score_source == whole.model.score_source
    expected, found = whole.detect(fields[:1])[0], given.detect(fields[:1])[0]
    assert np.allclose(found.bboxes, expected.bboxes, atol=1e-3)


def test_publish_refuses(trained: Trained, tmp_path: Path) -> None:
    inferencer = CellInferencer(trained.checkpoint, device='cpu')
    with pytest.raises(InputError, match='NAME.pth or NAME.safetensors'):
        publish_checkpoint(inferencer, tmp_path / 'a.onnx')
    with torch.no_grad():
        next(inferencer.model.parameters()).fill_(float('nan'))
    with pytest.raises(CheckpointError, match='not finite'):
        publish_checkpoint(inferencer, tmp_path / 'a.pth')
    assert not list(tmp_path.iterdir())
