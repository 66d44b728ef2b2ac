"""Processes end with their launcher, and the launcher's last line is their error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed.run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from ldwsccd.parent import VARIABLE
from ldwsccd.processes import launch

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import time
from ldwsccd.parent import end_with_parent
end_with_parent()
print('ready', flush=True)
time.sleep(60)
"""
LAUNCHER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', sys.argv[1]], stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize('launched', [True, False])
def test_killed_launcher_leaves_no_orphan(launched: bool) -> None:
    env = {k: v for k, v in os.environ.items() if k not in ('TORCHELASTIC_RUN_ID', VARIABLE)}
    env.update(PYTHONPATH=str(ROOT), **({'TORCHELASTIC_RUN_ID': 'x'} if launched else {}))
    launcher = subprocess.Popen(
        [sys.executable, '-c', LAUNCHER, CHILD], stdout=subprocess.PIPE, text=True, env=env
    )
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    assert is_running(pid)
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    try:
        deadline = time.monotonic() + (10 if launched else 1)
        while launched and is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert is_running(pid) != launched  # without a launcher nothing is changed
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(('code', 'expected'), [(2, 2), (-signal.SIGKILL, 1)])
def test_error_of_a_process_is_the_last_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: int,
    expected: int,
) -> None:
    reply = tmp_path / 'reply.json'
    if code > 0:
        reply.write_text('{"message": "a.b: wrong", "timestamp": 1}')

    def run(args: object) -> None:
        raise ChildFailedError('train', {1: ProcessFailure(1, 99, code, str(reply))})

    monkeypatch.setattr(torch.distributed.run, 'run', run)
    assert launch(['--nproc_per_node=2', 'train.py']) == expected
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == 'error: process 1: ' + (
        'a.b: wrong' if code > 0 else 'Signal 9 (SIGKILL) received by PID 99'
    )
