"""Checkpoints are whole or absent, and finite."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from ldwsccd_mmdet.engine.find_checkpoint import find_resume, may_resume
from ldwsccd_mmdet.engine.hooks import AtomicCheckpointHook
from ldwsccd_mmdet.engine.hooks.atomic_checkpoint_hook import write_whole
from ldwsccd_mmdet.errors import CheckpointError, NonFiniteWeightsError
from tests.test_engine.toy import Killed, make_runner

READ = dict(weights_only=True, map_location='cpu')


def names(folder):
    return sorted(f.name for f in folder.glob('*.pth*'))


def test_takes_the_place_of_mmengines(tmp_path):
    runner = make_runner(tmp_path, epochs=2)
    assert any(isinstance(hook, AtomicCheckpointHook) for hook in runner.hooks)
    runner.train()
    assert names(tmp_path) == ['best_score_epoch_2.pth', 'epoch_2.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_2.pth')
    content = torch.load(tmp_path / 'epoch_2.pth', **READ)
    assert content['message_hub']['runtime_info']['best_ckpt'].endswith('best_score_epoch_2.pth')


class KillsWriting:
    """Stands for what writes to the disk: a kill when half of the n-th checkpoint is there."""

    def __init__(self, nth):
        self.left = nth

    def __call__(self, content, path):
        self.left -= 1
        Path(path).write_bytes(content[: len(content) // 2] if self.left == 0 else content)
        if self.left == 0:
            raise Killed


# files in their order: epoch_1, best of 1, epoch_1 again; the same for 2
@pytest.mark.parametrize('nth', [1, 2, 3, 4, 5, 6])
def test_killed_while_writing(tmp_path, monkeypatch, nth):
    kills = KillsWriting(nth)
    monkeypatch.setattr(
        'mmengine.fileio.LocalBackend.put', lambda _, content, path: kills(content, path)
    )
    with pytest.raises(Killed):
        make_runner(tmp_path, epochs=3).train()
    monkeypatch.undo()
    for file in tmp_path.glob('*.pth'):  # each that has a name is whole
        torch.load(file, **READ)
    assert may_resume(tmp_path) == (nth > 1)
    if nth > 1:
        epoch = 1 if nth <= 4 else 2
        assert find_resume(str(tmp_path), 'auto') == str(tmp_path / f'epoch_{epoch}.pth')
        best = list(tmp_path.glob('best_*.pth'))
        assert len(best) == (nth > 2) + (nth == 6)  # the old one goes when the new one is known
    runner = make_runner(tmp_path, epochs=3, resume=True, scores=(0.5, 0.6, 0.7))
    runner.train()
    assert names(tmp_path)[1:] == ['epoch_3.pth'] and names(tmp_path)[0].startswith('best_')


def test_half_written_by_another_tool_is_passed_over(tmp_path):
    make_runner(tmp_path, epochs=3, checkpoint={'max_keep_ckpts': 3}).train()
    third = tmp_path / 'epoch_3.pth'
    third.write_bytes(third.read_bytes()[:-100])
    second = torch.load(tmp_path / 'epoch_2.pth', **READ)
    # the pointer names the half one, another one, or nothing
    for pointer in (str(third), 'gone.pth', ''):
        (tmp_path / 'last_checkpoint').write_text(pointer)
        assert find_resume(str(tmp_path), 'auto') == str(tmp_path / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').unlink()
    assert find_resume(str(tmp_path), 'auto') == str(tmp_path / 'epoch_2.pth')
    second['state_dict']['bbox_head.bias'][0] = float('inf')
    torch.save(second, tmp_path / 'epoch_2.pth')
    assert find_resume(str(tmp_path), 'auto') == str(tmp_path / 'epoch_1.pth')
    (tmp_path / 'epoch_1.pth').write_text('<html>')
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth.*not finite') as error:
        find_resume(str(tmp_path), 'auto')
    assert '\n' not in str(error.value)


def test_nan_weights_replace_nothing(tmp_path):
    runner = make_runner(tmp_path, epochs=3)
    runner.register_hook(_Spoils())
    with pytest.raises(NonFiniteWeightsError, match=r'1 of \d+ weights .*epoch_1\.pth') as error:
        runner.train()
    assert '\n' not in str(error.value) and '--resume' in str(error.value)
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth']
    state = torch.load(tmp_path / 'epoch_1.pth', **READ)['state_dict']
    assert all(value.isfinite().all() for value in state.values())


class _Spoils:
    """Makes a weight NaN in the last step of the second epoch, after its loss."""

    priority = 'NORMAL'

    def __new__(cls):
        from mmengine.hooks import Hook

        class Spoils(Hook):
            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                if runner.iter == 7:
                    runner.model.bbox_head.bias.data[0] = float('nan')

        return Spoils()


def test_what_was_left_half_is_removed_at_the_start(tmp_path):
    (tmp_path / 'epoch_7.pth.part').write_bytes(b'half')
    make_runner(tmp_path, epochs=1).train()
    assert names(tmp_path) == ['best_score_epoch_1.pth', 'epoch_1.pth']


def test_a_full_disk_is_one_line_and_keeps_the_file(tmp_path):
    file = tmp_path / 'epoch_1.pth'
    file.write_text('good')

    def full(part):
        part.write_text('ha')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointError, match="epoch_1.pth' can't be written .No space left"):
        write_whole(file, full)
    assert file.read_text() == 'good' and [f.name for f in tmp_path.iterdir()] == ['epoch_1.pth']


@pytest.mark.skipif(os.name != 'posix', reason='folders are files only on POSIX')
def test_a_folder_that_can_not_be_written_is_said_before_the_first_step(tmp_path):
    (tmp_path / 'taken').write_text('a file')
    runner = make_runner(
        tmp_path / 'run', epochs=1, checkpoint={'out_dir': str(tmp_path / 'taken')}
    )
    with pytest.raises(CheckpointError, match="can't be written to .*--work-dir"):
        runner.train()
    assert runner.iter == 0
