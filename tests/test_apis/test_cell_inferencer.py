"""CellInferencer: checkpoints alone, what it refuses, and what it gives."""

from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.logging import MMLogger

from ldwsccd_mmdet.apis import CellInferencer, load_detector
from ldwsccd_mmdet.apis.cell_inferencer import read_checkpoint
from ldwsccd_mmdet.errors import CheckpointError, ConfigError, InputError
from tests.test_apis.conftest import CLASSES, Trained


@pytest.fixture(scope='module')
def inferencer(trained: Trained) -> CellInferencer:
    return CellInferencer(weights=trained.checkpoint, device='cpu')


def changed(trained: Trained, folder: Path, edit) -> str:
    """A copy of the checkpoint whose content ``edit`` has changed."""
    content = torch.load(trained.checkpoint, weights_only=True)
    edit(content)
    torch.save(content, folder / 'changed.pth')
    return str(folder / 'changed.pth')


def test_a_checkpoint_alone_finds_what_mmdet_finds(inferencer, trained, fields, tmp_path) -> None:
    mmdet = DetInferencer(trained.config, trained.checkpoint, device='cpu', show_progress=False)
    found = inferencer.detect(fields)
    for image, cells in zip(fields, found, strict=True):
        expected = mmdet(image)['predictions'][0]
        assert len(cells) == len(expected['scores']) > 5
        assert np.allclose(cells.bboxes, expected['bboxes'], atol=1e-3)
        assert np.allclose(cells.scores, expected['scores'], atol=1e-5)
        assert cells.labels.tolist() == expected['labels']
        assert cells.size == (image.shape[1], image.shape[0]) and cells.classes == CLASSES
    assert inferencer.detect([]) == []
    file = tmp_path / 'a.png'
    cv2.imwrite(str(file), fields[0])
    called = inferencer(str(file), out_dir=str(tmp_path / 'out'), no_save_pred=False)
    prediction = called['predictions'][0]
    assert np.allclose(prediction['bboxes'], found[0].bboxes, atol=1e-3)
    assert prediction['names'] == [CLASSES[label] for label in prediction['labels']]
    assert (tmp_path / 'out' / 'vis' / 'a.png').is_file()


def test_knows_the_model(inferencer: CellInferencer) -> None:
    info = inferencer.info
    assert info.classes == CLASSES and info.input_size == (256, 256) and info.mpp == 0.25
    assert info.stride == 8 and info.nms_iou == 0.45 and info.score_thr is None


def test_config_and_checkpoint_as_well(trained: Trained, fields, inferencer) -> None:
    given = load_detector(trained.config, trained.checkpoint, 'cpu')
    assert np.allclose(given.detect(fields[:1])[0].bboxes, inferencer.detect(fields[:1])[0].bboxes)
    with pytest.raises(ConfigError, match='weights or it, not both'):
        CellInferencer(trained.checkpoint, trained.checkpoint)
    with pytest.raises(ConfigError, match='weights: expected a checkpoint'):
        CellInferencer(trained.config)


def test_a_config_without_a_visualizer_draws(trained: Trained, fields, tmp_path) -> None:
    config = Config.fromfile(trained.config)
    config.pop('visualizer')
    config.dump(tmp_path / 'plain.py')
    inferencer = CellInferencer(str(tmp_path / 'plain.py'), trained.checkpoint, device='cpu')
    assert len(inferencer.detect(fields[:1])[0]) > 5
    inferencer(fields[0], out_dir=str(tmp_path / 'out'))
    assert len(list((tmp_path / 'out' / 'vis').iterdir())) == 1


def test_says_nothing_of_its_own(trained: Trained, fields, tmp_path, caplog) -> None:
    """What a training logs to has no place here, and is neither built nor warned of."""
    log = MMLogger.get_current_instance()
    log.addHandler(caplog.handler)
    config = Config.fromfile(trained.config)
    config.visualizer.vis_backends = [
        dict(type='LocalVisBackend'),
        dict(type='TensorboardVisBackend'),
        dict(type='ClearMLVisBackend'),
    ]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('error', category=UserWarning)
            inferencer = CellInferencer(config, trained.checkpoint, device='cpu')
            inferencer(fields[0], return_vis=True)
    finally:
        log.removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_needs_no_teacher(trained_both: Trained, fields) -> None:
    detector = CellInferencer(trained_both.checkpoint, device='cpu')
    assert detector.model.mil_head is not None and detector.model.distillation is None
    assert len(detector.detect(fields[:1])) == 1


def test_old_configs_in_checkpoints_work(trained: Trained, fields, tmp_path) -> None:
    def edit(content: dict) -> None:
        text = content['meta']['cfg']
        text = text.replace("type='LoadImageFromFile'", "type='LoadVerifiedImageFromFile'")
        text = re.sub(r"dict\(\s*backend_args=None,\s*type='VerifyImage'\),\s*", '', text)
        assert 'VerifyImage' not in text and 'LoadVerified' in text
        content['meta']['cfg'] = text
        del content['message_hub']

    found = CellInferencer(changed(trained, tmp_path, edit), device='cpu').detect(fields[:1])[0]
    assert len(found) > 5


@pytest.mark.parametrize(
    'line',
    [
        "import os; os.system('touch RAN')",
        "x = __import__('os').system('touch RAN')",
        "x = dict(**{'a': open('RAN', 'w')})",
        "x = (lambda: open('RAN', 'w'))()",
        "x = [open('RAN', 'w') for _ in 'a']",
        "model['x'] = 1",
        "x = f\"{open('RAN', 'w')}\"",
    ],
)
def test_the_config_in_a_checkpoint_is_not_run(trained, tmp_path, monkeypatch, line) -> None:
    monkeypatch.chdir(tmp_path)

    def edit(content: dict) -> None:
        for text in (content['meta'], content['message_hub']['runtime_info']):
            text['cfg'] += f'\n{line}\n'

    with pytest.raises(CheckpointError, match='not run.*which you trust') as error:
        CellInferencer(changed(trained, tmp_path, edit), device='cpu')
    assert '\n' not in str(error.value) and not (tmp_path / 'RAN').exists()


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ("model.type='os.system'", 'model.type'),
        ("model.backbone.type='subprocess.run'", 'model.backbone.type'),
        ("model.backbone.type='antigravity'", 'model.backbone.type'),
        ("model.test_cfg.nms.type='exec'", 'model.test_cfg.nms.type'),
        ("model._scope_='os'", '_scope_'),
        ("custom_imports=['antigravity']", 'imports antigravity'),
        ('model=None', 'without model'),
    ],
)
def test_only_registered_classes_are_built_from_it(trained, tmp_path, change, match) -> None:
    key, value = change.split('=', 1)

    def edit(content: dict) -> None:
        from ldwsccd_mmdet.engine.received_config import parse_config_text

        config = Config(parse_config_text(content['meta']['cfg'], 'x'))
        config.merge_from_dict({key: None if value == 'None' else eval(value)})
        content['meta']['cfg'] = config.pretty_text
        del content['message_hub']

    with pytest.raises(CheckpointError, match=match):
        CellInferencer(changed(trained, tmp_path, edit), device='cpu')


@pytest.mark.parametrize(
    ('edit', 'match'),
    [
        (lambda c: (c['meta'].pop('cfg'), c.pop('message_hub')), 'holds no config'),
        (
            lambda c: (
                c['state_dict'].pop('backbone.features.0.conv.weight', None)
                or [
                    c['state_dict'].pop(k)
                    for k in list(c['state_dict'])
                    if k.startswith('backbone.')
                ]
            ),
            'not of this model: .* weights are missing',
        ),
        (
            lambda c: c['state_dict'].update(
                {k: v[:1] for k, v in c['state_dict'].items() if k.startswith('bbox_head.')}
            ),
            'another shape',
        ),
    ],
)
def test_one_line_for_other_checkpoints(trained, tmp_path, edit, match) -> None:
    with pytest.raises(CheckpointError, match=match) as error:
        CellInferencer(changed(trained, tmp_path, edit), device='cpu')
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    'content',
    [b'', b'<html></html>', b'version https://git-lfs.github.com/spec/v1\n', b'PK\x03\x04'],
)
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / 'a.pth'
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r'a\.pth.*fetch (it again|the file itself)') as error:
        read_checkpoint(file)
    assert '\n' not in str(error.value) and 'weights_only=False' not in str(error.value)
    with pytest.raises(CheckpointError, match='does not exist'):
        read_checkpoint(tmp_path / 'gone.pth')


def test_a_prefix_of_a_wrapper_is_understood(trained, tmp_path, fields, inferencer) -> None:
    def edit(content: dict) -> None:
        state = content['state_dict']
        content['state_dict'] = {f'module.{key}': value for key, value in state.items()}

    found = CellInferencer(changed(trained, tmp_path, edit), device='cpu').detect(fields[:1])[0]
    assert np.allclose(found.bboxes, inferencer.detect(fields[:1])[0].bboxes)


def test_finds_the_weights_of_a_config(trained: Trained, tmp_path, monkeypatch) -> None:
    from ldwsccd_mmdet.apis.loading import find_weights

    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match='train it, or name them with --weights'):
        find_weights(Path(trained.config))
    folder = tmp_path / 'work_dirs' / 'config'
    folder.mkdir(parents=True)
    for name in ('best_coco_epoch_2.pth', 'epoch_3.pth'):
        (folder / name).write_bytes(b'')
    assert find_weights(Path(trained.config)).name == 'best_coco_epoch_2.pth'
    (folder / 'best_coco_epoch_2.pth').unlink()
    assert find_weights(Path(trained.config)).name == 'epoch_3.pth'
    with pytest.raises(InputError, match='expected a config'):
        load_detector(tmp_path / 'a.txt')
