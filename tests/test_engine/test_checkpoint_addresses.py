"""Checkpoints from addresses: read safely, kept in the cache."""

import os
import pickle
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader, get_external_models

from ldwsccd_mmdet.engine import checkpoint_addresses


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class RunsCode:
    """A pickle that would make a folder when it is read without care."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder that is served, its address, and a cache of its own."""
    folder = tmp_path / 'served'
    folder.mkdir()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(QuietHandler, directory=folder)) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield folder, f'http://127.0.0.1:{http.server_port}'
        http.shutdown()


def test_a_checkpoint_is_fetched_once_and_read(server):
    folder, address = server
    torch.save(dict(state_dict=dict(weight=torch.arange(3.0))), folder / 'net.pth')
    loaded = CheckpointLoader.load_checkpoint(f'{address}/net.pth', map_location='cpu')
    assert loaded['state_dict']['weight'].tolist() == [0, 1, 2]
    (folder / 'net.pth').unlink()
    again = CheckpointLoader.load_checkpoint(f'{address}/net.pth', map_location='cpu')
    assert again['state_dict']['weight'].tolist() == [0, 1, 2]


def test_a_checkpoint_that_would_run_code_is_refused(server, tmp_path):
    folder, address = server
    torch.save(dict(state_dict=RunsCode(tmp_path / 'made')), folder / 'evil.pth')
    with pytest.raises(pickle.UnpicklingError, match='weights_only'):
        CheckpointLoader.load_checkpoint(f'{address}/evil.pth', map_location='cpu')
    assert not (tmp_path / 'made').exists()


@pytest.mark.parametrize(
    ('name', 'address'),
    [
        ('torchvision://resnet50', 'https://download.pytorch.org/models/resnet50-0676ba61.pth'),
        ('open-mmlab://vgg16_caffe', get_external_models()['vgg16_caffe']),
    ],
)
def test_names_are_read_as_safely(name, address, monkeypatch):
    seen = {}

    def fetch(url, map_location=None, **kwargs):
        seen.update(url=url, **kwargs)
        return dict(state_dict={})

    monkeypatch.setattr(checkpoint_addresses, 'load_state_dict_from_url', fetch)
    CheckpointLoader.load_checkpoint(name, map_location='cpu')
    assert seen == dict(url=address, weights_only=True)
