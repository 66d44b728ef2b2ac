"""Files that were received run nothing, at whatever door they come in."""

from __future__ import annotations

import builtins
import functools
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

from ldwsccd_mmdet.apis import CellInferencer
from ldwsccd_mmdet.engine.checkpoint_file import read_checkpoint
from ldwsccd_mmdet.engine.find_checkpoint import find_resume
from ldwsccd_mmdet.engine.vgg_weights import convert_vgg_weights
from ldwsccd_mmdet.engine.weights_only import load_weights_only
from ldwsccd_mmdet.errors import InputError
from ldwsccd_mmdet.evaluation.predictions import load_image_paths, load_predictions
from ldwsccd_mmdet.models.task_modules.proposers import FileProposer


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function: Callable, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def payloads(made: str) -> dict[str, Any]:
    """What would make a folder if it were run."""
    text = f'import os; os.mkdir({made!r})'
    return {
        'function': Calls(os.mkdir, made),
        'text': Calls(exec, text),
        'shell': Calls(os.system, f'mkdir {made}'),
        'process': Calls(subprocess.check_call, ['mkdir', made]),
        'attribute': Calls(getattr, torch.Tensor, 'numpy'),
        'partial': Calls(functools.partial, os.mkdir, made),
        'imported': Calls(builtins.__import__, 'os'),
        'objects': np.array([Calls(os.mkdir, made)], dtype=object),
        'map': Calls(map, os.mkdir, [made]),
        'within': {'state_dict': {'a': torch.zeros(1)}, 'meta': [Calls(os.mkdir, made)]},
    }


def as_pickle(content: Any, file: Path) -> None:
    file.write_bytes(pickle.dumps(content))


def as_archive(content: Any, file: Path) -> None:
    torch.save(content, file)


def as_old_archive(content: Any, file: Path) -> None:
    torch.save(content, file, _use_new_zipfile_serialization=False)


def as_arrays(content: Any, file: Path) -> None:
    array = np.empty(1, dtype=object)
    array[0] = content
    np.savez(file, a=array)


def resume(file: Path) -> None:
    find_resume(str(file.parent), 'auto')


CHECKPOINTS: dict[str, Callable[[Path], Any]] = {
    'weights_only': load_weights_only,
    'mmap': lambda file: load_weights_only(file, mmap=True),
    'mmengine': lambda file: CheckpointLoader.load_checkpoint(str(file)),
    'read': read_checkpoint,
    'resume': resume,
    'inferencer': lambda file: CellInferencer(None, str(file)),
    'vgg': lambda file: convert_vgg_weights(file, file.with_name('out.pth')),
}
RESULTS: dict[str, Callable[[Path], Any]] = {
    'predictions': load_predictions,
    'paths': load_image_paths,
    'proposals': mmengine.load,
}
ENTRIES = [
    *(('a.pth', write, f'{name}') for name in CHECKPOINTS for write in (as_pickle, as_archive)),
    *(('a.pth', as_old_archive, name) for name in CHECKPOINTS),
    *(('a.pkl', as_pickle, name) for name in RESULTS),
    ('a.npz', as_arrays, 'regions'),
]
DOORS = {**CHECKPOINTS, **RESULTS, 'regions': lambda file: FileProposer(file).regions}


@pytest.mark.parametrize('payload', payloads(''))
@pytest.mark.parametrize(
    ('name', 'write', 'door'),
    ENTRIES,
    ids=[f'{door}-{write.__name__}' for _, write, door in ENTRIES],
)
def test_nothing_is_run(
    tmp_path: Path, name: str, write: Callable, door: str, payload: str
) -> None:
    made = tmp_path / 'made'
    file = tmp_path / 'in' / name
    file.parent.mkdir()
    write(payloads(str(made))[payload], file)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(InputError) as caught:
        DOORS[door](file)
    assert sorted(tmp_path.rglob('*')) == before and not made.exists()
    assert '\n' not in str(caught.value)


def test_the_payloads_do_run_where_nothing_forbids_it(tmp_path: Path) -> None:
    """Else the test above would pass for nothing."""
    for name in ('function', 'text', 'shell', 'process'):
        made = tmp_path / name
        as_pickle(payloads(str(made))[name], tmp_path / 'a.pkl')
        pickle.loads((tmp_path / 'a.pkl').read_bytes())
        assert made.is_dir(), name
