import contextlib
import io
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments import stages
from ldwsccd_mmdet.experiments.stages import (
    Stage,
    StageFailed,
    StageRunner,
    claim,
    run_program,
    run_stages,
)

ROOT = Path(__file__).resolve().parents[2]


class Work:
    """Two stages, the second on the first, that count how often they run."""

    def __init__(self, out):
        self.out, self.calls, self.fail = out, [], None

    def runner(self, number=1):
        def make(name, **settings):
            def run(show):
                self.calls.append(name)
                if self.fail == name:
                    raise StageFailed('the cause')
                folder = self.out / name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / 'result').touch()
                show(1, 1, 'all of it')

            outputs = [self.out / name / 'result']
            return dict(name=name, title=f'Do {name}', run=run, outputs=outputs, **settings)

        first = Stage(**make('first', settings={'number': number}))
        second = Stage(**make('second', settings={}, needs=[first]))
        return StageRunner(self.out, [first, second])


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / 'out')


def run(runner):
    stream = io.StringIO()
    code = run_stages(runner, Console(file=stream, width=200), 'Sum up', lambda show: None)
    return code, stream.getvalue()


def test_done_once(work):
    assert run(work.runner())[0] == 0
    code, said = run(work.runner())
    assert (code, work.calls) == (0, ['first', 'second'])
    assert said.count('done before') == 2
    assert '3/3 Sum up' in said


def test_what_depends_on_a_change_is_repeated(work):
    run(work.runner())
    run(work.runner(number=2))
    assert work.calls == ['first', 'second'] * 2


def test_lost_result_is_made_again(work):
    run(work.runner())
    (work.out / 'second' / 'result').unlink()
    run(work.runner())
    assert work.calls == ['first', 'second', 'second']


def test_spoilt_marker_counts_as_not_done(work):
    run(work.runner())
    (work.out / 'stages' / 'second.json').write_text('{"key": ')
    run(work.runner())
    assert work.calls == ['first', 'second', 'second']


def test_failure_is_said_and_tried_again(work):
    work.fail = 'second'
    code, said = run(work.runner())
    assert code == 1
    assert 'the cause' in said
    work.fail = None
    assert run(work.runner())[0] == 0
    assert work.calls == ['first', 'second', 'second']


def test_times_add_up(work):
    runner = work.runner()
    run(runner)
    titles, seconds = zip(*runner.times(), strict=True)
    assert titles == ('Do first', 'Do second', 'Sum')
    assert seconds[2] == pytest.approx(seconds[0] + seconds[1])
    state = json.loads((work.out / 'stages' / 'first.json').read_text())
    assert state['finished'] and state['settings'] == {'number': 1}


def test_folder_of_something_else_or_of_a_running_one(tmp_path):
    (tmp_path / 'x').mkdir()
    (tmp_path / 'x' / 'precious.txt').touch()
    with pytest.raises(ConfigError, match='with other things in it; name another folder'):
        claim(tmp_path / 'x', 'demo')
    with claim(tmp_path / 'y', 'demo'), pytest.raises(ConfigError, match='another demo is running'):
        claim(tmp_path / 'y', 'demo')
    claim(tmp_path / 'y', 'demo').close()


def test_failed_program_is_quoted(tmp_path):
    command = [sys.executable, '-c', 'print("the cause"); raise SystemExit(3)']
    with pytest.raises(StageFailed, match='exit code 3(.|\n)*the cause(.|\n)*x.log'):
        stages.run_program(command, tmp_path / 'x.log', lambda: (0, 1, ''), lambda *_: None)


def test_interrupt_ends_the_program(tmp_path):
    pid = tmp_path / 'pid'
    code = f'import os, time; open({str(pid)!r}, "w").write(str(os.getpid())); time.sleep(3600)'

    def show(*_):
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt

    command = [sys.executable, '-c', code]
    with pytest.raises(KeyboardInterrupt):
        stages.run_program(command, tmp_path / 'log', lambda: (0, 1, ''), show)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_progress_is_read_from_the_log(tmp_path):
    log = tmp_path / 'train.log'
    assert stages.last_log_line(log, 'train') is None
    assert stages.train_progress(log, 20, True) == (0, 1, 'starting again')
    assert stages.test_progress(log) == (0, 1, 'starting')
    log.write_text(
        '11/22 22:59:14 - mmengine - INFO - Epoch(train)  [1][ 5/38]  base_lr: 1.7e-04  '
        'eta: 1 day, 0:00:22  time: 4.4  loss: 23.2654  loss_cls: 19.6003\n'
        '11/22 22:59:20 - mmengine - INFO - Epoch(train) [12][10/38]  lr: 1.7e-04  '
        'eta: 0:10:22  time: 4.4  loss: nan  loss_cls: 19.6003\nEpoch(train) [12][15/38]  lr: 1'
    )
    line = stages.last_log_line(log, 'train')
    assert (line['epoch'], line['done'], line['total']) == ('12', '10', '38')
    done = (11 * 38 + 10, 20 * 38, 'epoch 12/20  loss nan  ETA 0:10:22')
    assert stages.train_progress(log, 20, False) == done
    log.write_text('Epoch(test) [ 3/10]    eta: 0:00:02  time: 0.3  data_time: 0.1  \n')
    assert stages.test_progress(log) == (3, 10, 'ETA 0:00:02')


def test_a_training_is_shared_by_processes_of_torchrun():
    alone = stages.command_line('train', Path('x.py'))
    assert alone[1:] == ['-m', 'ldwsccd', 'train', 'x.py']
    shared = stages.command_line('train', 'x.py', processes=2)
    launch = ['-m', 'ldwsccd.processes', '--standalone', '--nproc_per_node=2']
    assert shared[1:] == [*launch, '-m', 'ldwsccd', 'train', 'x.py', '--launcher', 'pytorch']


CHILD = """
import sys, time
from pathlib import Path
from ldwsccd.parent import end_with_parent
end_with_parent()
Path(sys.argv[1]).write_text('up')
time.sleep(120)
"""


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(what())


def free(out):
    try:
        claim(out, 'comparison').close()
    except ConfigError:
        return False
    return True


@pytest.mark.skipif(not Path('/proc/self/task').is_dir(), reason='needs /proc, as on Linux')
def test_killed_run_leaves_no_program_and_no_free_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    out, up = tmp_path / 'run', tmp_path / 'up'
    runner = os.fork()
    if runner == 0:  # a comparison, with a training that takes two minutes
        try:
            with claim(out, 'comparison'):
                command = [sys.executable, '-c', CHILD, str(up)]
                run_program(command, tmp_path / 'log', lambda: (0, 1, ''), lambda *_: None)
        finally:
            os._exit(0)
    try:
        assert wait_for(up.is_file)
        # stopped, the training can't see yet that its parent is gone: the folder is its own
        training = int(next(iter(children(runner))))
        os.kill(training, signal.SIGSTOP)
        os.kill(runner, signal.SIGKILL)
        os.waitpid(runner, 0)
        assert not free(out)
        os.kill(training, signal.SIGCONT)
        assert wait_for(lambda: free(out), 20)
    finally:
        for process in (runner, *children(runner)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)


def children(process):
    """Processes that a process started."""
    try:
        return Path(f'/proc/{process}/task/{process}/children').read_text().split()
    except OSError:
        return []
