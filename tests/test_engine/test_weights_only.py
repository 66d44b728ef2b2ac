"""A file that is no checkpoint is named, with the reason; nothing in it is run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from ldwsccd_mmdet.engine.weights_only import load_weights_only
from ldwsccd_mmdet.errors import CheckpointError


def half(file: Path) -> None:
    torch.save({'state_dict': {'a': torch.zeros(1000)}}, file)
    file.write_bytes(file.read_bytes()[:2000])


WRITERS = {
    'is empty': lambda file: file.write_bytes(b''),
    'is cut short after 2000 bytes': half,
    'is a web page': lambda file: file.write_bytes(b'\n<!DOCTYPE html><html>404</html>'),
    'pointer of Git LFS': lambda file: file.write_bytes(
        b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n'
    ),
    'is not a checkpoint (12 bytes; ': lambda file: file.write_bytes(b'hello world\n'),
    'expected a dict of weights, found list': lambda file: torch.save([1], file),
    'more than weights (posix.getcwd)': lambda file: torch.save({'a': os.getcwd}, file),
}


@pytest.mark.parametrize('expected', WRITERS)
@pytest.mark.parametrize('read', [load_weights_only, CheckpointLoader.load_checkpoint])
def test_says_what_a_file_is(tmp_path: Path, read, expected: str) -> None:
    file = tmp_path / 'epoch_1.pth'
    WRITERS[expected](file)
    with pytest.raises(CheckpointError) as caught:
        read(str(file))
    message = str(caught.value)
    assert expected in message and str(file) in message
    assert '\n' not in message and 'weights_only' not in message


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match='gone.pth.* does not exist'):
        load_weights_only(tmp_path / 'gone.pth')


@pytest.mark.parametrize('mmap', [None, True])
@pytest.mark.parametrize('archive', [True, False])
def test_weights_come_back(tmp_path: Path, mmap: bool | None, archive: bool) -> None:
    file = tmp_path / 'a.pth'
    weights = torch.arange(5.0)
    torch.save({'state_dict': {'a': weights}}, file, _use_new_zipfile_serialization=archive)
    assert torch.equal(load_weights_only(file, mmap=mmap)['state_dict']['a'], weights)


def test_text_of_a_config_does_not_reach_the_runner(tmp_path: Path) -> None:
    """mmengine's ``resume`` would run it."""
    file = tmp_path / 'a.pth'
    torch.save({'state_dict': {}, 'meta': {'config': 'import os', 'epoch': 3}}, file)
    assert CheckpointLoader.load_checkpoint(str(file))['meta'] == {'epoch': 3}
    assert load_weights_only(file)['meta']['config'] == 'import os'
