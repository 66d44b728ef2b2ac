"""From 24 images that CVAT has labelled to report, QuPath and ONNX: the page's six commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmdet.models import MobileNetV2
from mmdet.utils import register_all_modules

from ldwsccd_mmdet.experiments import comparison
from tests.commands import run
from tests.test_docs.page import Page

pytest.importorskip('onnxruntime', reason="needs pip install 'ldwsccd_mmdet[export]'")
pytest.importorskip('safetensors', reason="needs pip install 'ldwsccd_mmdet[export]'")

PAGE = Page('predict')
SIX = ['new', 'doctor', 'compare', 'predict', 'export', 'publish']
CLASSES = ('hsil', 'lsil')
SPLITS = ('train', 'val')
NUM_IMAGES = 24


def label_in_cvat(folder: Path) -> None:
    """``photos/`` and ``annotations.xml``, as CVAT exports them; dark cells are of one class."""
    rng = np.random.default_rng(0)
    (folder / 'photos').mkdir()
    images = []
    for index in range(NUM_IMAGES):
        image = np.full((120, 160, 3), (215, 190, 230), np.uint8)
        boxes = []
        for x, y in ((30, 30), (85, 75), (130, 35)):
            label, r = int(rng.integers(2)), int(rng.integers(10, 22))
            cv2.circle(image, (x, y), r, ((60, 20, 50), (170, 90, 150))[label], -1)
            boxes.append(
                f'<box label="{CLASSES[label]}" source="manual" occluded="0" xtl="{x - r}" '
                f'ytl="{y - r}" xbr="{x + r + 1}" ybr="{y + r + 1}" z_order="0"></box>'
            )
        name = f'slide{index % 6}_{index}.png'
        cv2.imwrite(str(folder / 'photos' / name), image)
        images.append(
            f'<image id="{index}" name="{name}" width="160" height="120">{"".join(boxes)}</image>'
        )
    labels = ''.join(f'<label><name>{name}</name><type>any</type></label>' for name in CLASSES)
    (folder / 'annotations.xml').write_text(
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task>'
        f'<labels>{labels}</labels></task></meta>{"".join(images)}</annotations>'
    )


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page begins with; the programs that compare starts run in this process."""
    label_in_cvat(tmp_path)
    weights = tmp_path / 'data' / 'weights' / 'mobilenet_v2_imagenet.pth'
    weights.parent.mkdir(parents=True)
    torch.save({'state_dict': MobileNetV2().state_dict()}, weights)  # nothing is fetched

    def run_program(command: list[str], log: Path, progress: Any, show: Any) -> None:
        at = command.index('-m') + 2
        log.parent.mkdir(parents=True, exist_ok=True)
        assert run(command[at], *command[at + 1 :]) == 0, command

    monkeypatch.setattr(comparison, 'run_program', run_program)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_six_commands(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    register_all_modules(init_default_scope=False)
    commands = [command[1:] for command in PAGE.commands[:6]]
    assert [name for name, *_ in commands] == SIX
    said = {}
    for name, *arguments in commands:
        if name == 'compare':  # 40 epochs are one here, of one view of each image
            arguments += ['--epochs', '1', '--report', '--resamples 0']
            arguments += ['--cfg-options', 'train_dataloader.dataset.times=1']
        path = [text.replace('epoch_40', 'epoch_1') for text in arguments]
        assert run(name, *path) == 0, (name, capsys.readouterr())
        said[name] = capsys.readouterr().out
    check_new(workplace, said['new'])
    check_results(workplace)


def check_new(folder: Path, said: str) -> None:
    """Each image is in one part, every class in both; the next commands are those of the page."""
    parts = [json.loads((folder / 'data' / 'mine' / f'{p}.json').read_text()) for p in SPLITS]
    names = [{image['file_name'] for image in part['images']} for part in parts]
    assert len(names[0] | names[1]) == NUM_IMAGES and not names[0] & names[1]
    assert all({a['category_id'] for a in part['annotations']} == {1, 2} for part in parts)
    for text in (
        'ldwsccd compare configs/mine --out work_dirs/compare_mine --amp',
        'ldwsccd predict work_dirs/compare_mine/ldwsccd_mine/seed_0/epoch_40.pth IMAGES',
    ):
        assert text in said


def check_results(folder: Path) -> None:
    """The report, boxes for QuPath, the ONNX file and the weights are there, and can be used."""
    page = (folder / 'work_dirs' / 'compare_mine' / 'report.html').read_text(encoding='utf-8')
    assert 'LD-WSCCD' in page and 'hsil' in page
    found = sorted((folder / 'work_dirs' / 'found' / 'geojson').iterdir())
    assert len(found) == NUM_IMAGES
    assert json.loads(found[0].read_text())['type'] == 'FeatureCollection'
    from ldwsccd_mmdet.apis import load_detector

    image = cv2.imread(str(folder / 'photos' / 'slide0_0.png'))
    published = next(folder.glob('mine-*.safetensors'))
    for file in (folder / 'mine.onnx', published):
        detector = load_detector(file, None, 'cpu')
        assert detector.info.classes == CLASSES and detector.info.field_size == (160, 120)
        assert detector.detect([image])[0].size == (160, 120)


def test_links() -> None:
    PAGE.check_links()
