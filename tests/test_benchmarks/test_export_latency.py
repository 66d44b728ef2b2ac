"""The benchmark times one detector in torch, ONNX Runtime and OpenVINO, whichever are there."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import cv2
import pytest

from tests.commands import ROOT
from tests.test_apis.conftest import save_trained
from tests.test_apis.disc_detector import draw_discs

pytest.importorskip('onnxruntime', reason="needs pip install 'ldwsccd_mmdet[export]'")
pytest.importorskip('onnx', reason="needs pip install 'ldwsccd_mmdet[export]'")


def test_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / 'benchmarks' / 'export_latency.py'
    monkeypatch.syspath_prepend(path.parent)  # as for a script
    spec = importlib.util.spec_from_file_location('export_latency_benchmark', path)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    trained = save_trained(tmp_path, 'configs/ldwsccd/ssd256-narrow_bccd.py')
    (tmp_path / 'in').mkdir()
    for seed in (0, 1):
        cv2.imwrite(str(tmp_path / 'in' / f'{seed}.png'), draw_discs((200, 160), 6, seed=seed)[0])
    formats = ['onnx'] + ['openvino'] * (importlib.util.find_spec('openvino') is not None)
    out = tmp_path / 'speed.csv'
    arguments = [trained.checkpoint, '--images', tmp_path / 'in', '--runs', 2, '--threads', 1]
    arguments += ['--formats', *formats, '--csv', out]
    monkeypatch.setattr(sys, 'argv', ['export_latency.py', *map(str, arguments)])
    benchmark.main()
    rows = list(csv.DictReader(out.open()))
    assert [row['run_time'] for row in rows] == ['torch', *formats]
    assert len({row['boxes'] for row in rows}) == 1  # all find the same
    for row in rows:
        assert 0 < float(row['p25_ms']) <= float(row['latency_ms']) <= float(row['p75_ms'])
