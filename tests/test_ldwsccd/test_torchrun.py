"""Two processes of torchrun, of which one hangs or is killed, and their launcher killed (slow)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.test_ldwsccd.test_processes import is_running

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import argparse, datetime, os, pathlib, signal, sys, time
from ldwsccd.parent import end_with_parent
from ldwsccd.tool import run_tool

def main(args):
    import torch.distributed as dist
    dist.init_process_group('gloo', timeout=datetime.timedelta(seconds=10))
    pathlib.Path(sys.argv[2], str(dist.get_rank())).write_text(str(os.getpid()))
    dist.barrier()
    if dist.get_rank() == 1 or sys.argv[1] == 'all':
        if sys.argv[1] == 'killed':
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)
    dist.barrier()

end_with_parent()
sys.exit(run_tool(main, argparse.Namespace()))
"""


@pytest.fixture
def start(tmp_path: Path):
    """``start(what)``: torchrun with two processes of the script."""
    (tmp_path / 'script.py').write_text(SCRIPT)
    (tmp_path / 'pids').mkdir()
    started = []

    def run(what: str) -> subprocess.Popen:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        command = [sys.executable, '-m', 'ldwsccd.processes', '--nproc_per_node=2']
        command += [f'--master_port={port}', str(tmp_path / 'script.py'), what]
        env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
        started.append(
            subprocess.Popen(
                [*command, str(tmp_path / 'pids')], stderr=subprocess.PIPE, text=True, env=env
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


def pids(tmp_path: Path, seconds: float = 400) -> list[int]:
    """The two processes, when both are there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        texts = [file.read_text() for file in (tmp_path / 'pids').iterdir()]
        if len(texts) == 2 and all(texts):
            return list(map(int, texts))
        time.sleep(0.1)
    raise AssertionError('the processes did not start')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('what', 'code', 'expected'),
    [
        ('hangs', 2, 'error: process 0: a process did not answer in time'),
        ('killed', 1, 'error: process 1: Signal 9 (SIGKILL)'),
    ],
)
def test_one_process(start, tmp_path: Path, what: str, code: int, expected: str) -> None:
    launcher = start(what)
    both = pids(tmp_path)
    _, said = launcher.communicate(timeout=300)
    assert launcher.returncode == code
    assert said.splitlines()[-1].startswith(expected)
    assert not any(map(is_running, both))


@pytest.mark.slow
def test_killed_launcher(start, tmp_path: Path) -> None:
    launcher = start('all')
    both = pids(tmp_path)
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    deadline = time.monotonic() + 10
    while any(map(is_running, both)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in both if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
