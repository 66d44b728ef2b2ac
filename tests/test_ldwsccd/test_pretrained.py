from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.runner.checkpoint import CheckpointLoader

from ldwsccd.pretrained import _pretrained, fetch_pretrained
from ldwsccd_mmdet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


def config(checkpoint, **settings):
    model = dict(
        backbone=dict(type='X', init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))),
        neck=dict(init_cfg=dict(type='Xavier')),
        teacher=dict(config=dict(backbone=dict(init_cfg=dict(type='Pretrained', checkpoint='y')))),
    )
    return Config(dict(model=model, **settings))


@pytest.fixture
def offline(monkeypatch):
    asked = []

    def no_network(filename, map_location=None, logger=None):
        asked.append(filename)
        raise URLError('Name or service not known')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', no_network)
    return asked


def test_no_network_says_how_to_give_a_file(offline):
    with pytest.raises(ConfigError) as info:
        fetch_pretrained(config('open-mmlab://vgg16_caffe'))
    message = str(info.value)
    assert message.startswith('model.backbone.init_cfg.checkpoint: ')
    for part in (
        'open-mmlab://vgg16_caffe',
        'Name or service not known',
        '--cfg-options model.backbone.init_cfg.checkpoint=FILE',
        'load_from=FILE model.backbone.init_cfg=None',
    ):
        assert part in message
    assert '\n' not in message
    assert offline == ['open-mmlab://vgg16_caffe']  # the teacher's are not asked for


def test_the_remedies_work(offline, tmp_path, monkeypatch):
    """Each of the message's options, as the command line parses it."""
    whole = config('open-mmlab://vgg16_caffe')
    monkeypatch.undo()
    torch.save(dict(state_dict={}), tmp_path / 'local.pth')
    for text in (
        f'model.backbone.init_cfg.checkpoint={tmp_path / "local.pth"}',
        'model.backbone.init_cfg=None',
    ):
        key, value = text.split('=', 1)
        cfg = whole.copy()
        cfg.merge_from_dict({key: DictAction._parse_int_float_bool(value)})
        fetch_pretrained(cfg)


@pytest.mark.parametrize('settings', [dict(load_from='whole.pth'), dict(resume=True)])
def test_a_whole_checkpoint_makes_them_needless(offline, settings):
    cfg = config('https://nowhere.example/a.pth', **settings)
    fetch_pretrained(cfg)
    assert cfg.model.backbone.init_cfg is None
    assert cfg.model.neck.init_cfg.type == 'Xavier'


def test_files(tmp_path):
    with pytest.raises(ConfigError, match='no such file'):
        fetch_pretrained(config(tmp_path / 'gone.pth'))
    (tmp_path / 'cut.pth').write_bytes(b'PK\x03\x04 cut short')
    with pytest.raises(ConfigError, match='cut.pth'):
        fetch_pretrained(config(tmp_path / 'cut.pth'))
    torch.save(dict(state_dict={}), tmp_path / 'a.pth')
    cfg = config(tmp_path / 'a.pth')
    fetch_pretrained(cfg)
    assert cfg.model.backbone.init_cfg.checkpoint == str(tmp_path / 'a.pth')


def test_a_package_that_is_missing_is_named(monkeypatch):
    def missing(*args, **kwargs):
        raise ModuleNotFoundError("No module named 'torchvision'", name='torchvision')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', missing)
    with pytest.raises(ConfigError, match='needs the package torchvision'):
        fetch_pretrained(config('torchvision://resnet50'))


def test_baselines_start_from_their_usual_weights():
    found = {}
    for path in sorted((ROOT / 'configs').glob('*/*_adamw_ccd.py')):
        model = Config.fromfile(path).model
        name = path.stem.removesuffix('_adamw_ccd')
        found[name] = [p['init_cfg']['checkpoint'] for _, p in _pretrained(model, 'model')]
    scratch = {'cornernet_hourglass104', 'yolov4_csp-d53', 'yolox-s'}
    scratch |= {'dsod512', 'yolov1', 'yolov2_d19'}
    assert {name for name, weights in found.items() if not weights} == scratch
    assert all(len(weights) == 1 for name, weights in found.items() if name not in scratch)
    # mmengine reads torchvision:// only where torchvision is installed, which we don't require
    assert not any('torchvision://' in w for weights in found.values() for w in weights)
