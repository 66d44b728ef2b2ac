"""Stages as jobs: in the order of what they need, two at a time, again after a stop."""

import io
import json
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from ldwsccd_mmdet.errors import ConfigError, InputError
from ldwsccd_mmdet.experiments import stage_jobs
from ldwsccd_mmdet.experiments.stage_jobs import JobSettings, StageJob, StageJobs, run_stages_as
from ldwsccd_mmdet.experiments.stages import Stage, StageFailed, StageRunner
from tests.commands import new_log

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True, scope='module')
def _logs_are_forgotten():
    """Importing submitit closes the files of all logs that are open."""
    yield
    new_log()


def make_runner(out, broken=None):
    """Two stages, a third that needs both, and a fourth; each writes when it ran."""

    def make(name, needs=()):
        def run(show):
            import pathlib
            import time

            folder = pathlib.Path(out) / name
            folder.mkdir(parents=True, exist_ok=True)
            if broken is not None and pathlib.Path(broken).exists() and name == 'first':
                raise ValueError('the cause')
            start = time.time()
            time.sleep(0.2)
            (folder / 'result').write_text(f'[{start}, {time.time()}]')

        outputs = [out / name / 'result']
        return Stage(name, f'Do {name}', {}, run, needs, False, outputs)

    first, second = make('first'), make('second')
    return StageRunner(out, [first, second, make('third', [first, second]), make('fourth')])


def run(runner, settings, last=lambda show: None):
    stream = io.StringIO()
    console = Console(file=stream, width=200)
    code = run_stages_as(settings, runner, console, 'Sum up', last)
    return code, stream.getvalue()


class Job:
    """Stands for a job of submitit; it runs when it is asked whether it is done."""

    def __init__(self, folder, number, call):
        self.job_id, self.call, self.error = str(number), call, None
        self.paths = type('Paths', (), {})()
        self.paths.result_pickle = folder / f'{number}.pkl'
        self.paths.stderr = folder / f'{number}.err'

    def done(self):
        try:
            self.call()
        except Exception as error:
            self.error = f'Traceback\n{type(error).__name__}: {error}'
        self.paths.result_pickle.parent.mkdir(parents=True, exist_ok=True)
        self.paths.result_pickle.touch()
        return True

    def exception(self):
        return self.error

    def cancel(self, check=True):
        self.call = lambda: None


class Executor:
    """Stands for an executor of submitit."""

    def __init__(self, folder):
        self.folder, self.submitted, self.most, self.jobs = folder, [], 0, None

    def submit(self, call):
        self.submitted.append(call.runner.stages[call.number].name)
        self.most = max(self.most, len(self.jobs.running) + 1)
        return Job(self.folder, len(self.submitted), call)


@pytest.fixture
def executor(tmp_path, monkeypatch):
    executor = Executor(tmp_path / 'jobs')
    monkeypatch.setattr(stage_jobs, '_executor', lambda folder, slurm: executor)
    monkeypatch.setattr(stage_jobs, '_POLL_SECONDS', 0)
    old = StageJobs.__init__

    def init(self, runner, settings):
        old(self, runner, settings)
        executor.jobs = self

    monkeypatch.setattr(StageJobs, '__init__', init)
    return executor


def test_in_the_order_of_needs_two_at_a_time(executor, tmp_path):
    runner = make_runner(tmp_path / 'out')
    code, said = run(runner, JobSettings(jobs=2))
    assert code == 0
    assert executor.submitted == ['first', 'second', 'third', 'fourth']
    assert executor.most == 2
    assert '3/4 Do third: job 3' in said and 'Sum up' in said
    code, said = run(runner, JobSettings(jobs=2))
    assert (code, said.count('done before'), len(executor.submitted)) == (0, 4, 4)


def test_a_failure_holds_up_only_what_needs_it(executor, tmp_path):
    (tmp_path / 'broken').touch()
    runner = make_runner(tmp_path / 'out', broken=tmp_path / 'broken')
    done = []
    code, said = run(runner, JobSettings(jobs=2), lambda show: done.append(1))
    assert (code, done) == (1, [])
    assert executor.submitted == ['first', 'second', 'fourth']
    assert 'Do first failed: ValueError: the cause' in said
    assert '1 other stages need these' in said
    (tmp_path / 'broken').unlink()
    code, said = run(runner, JobSettings(jobs=2))
    assert (code, executor.submitted[3:]) == (0, ['first', 'third'])


def test_interrupt_cancels_what_runs(executor, tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(stage_jobs.time, 'sleep', interrupt)
    code, said = run(make_runner(tmp_path / 'out'), JobSettings(jobs=1))
    assert code == 130
    assert 'the same command goes on from there' in said
    assert not (tmp_path / 'out' / 'first').exists()


def test_a_stage_is_done_by_one_job_alone(tmp_path):
    import fcntl

    runner = make_runner(tmp_path / 'out')
    lock = runner.marker(runner.stages[0]).with_suffix('.lock')
    lock.parent.mkdir(parents=True)
    with lock.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StageFailed, match='another job of .* is at it'):
            StageJob(runner, 0)()
    StageJob(runner, 0)()
    assert runner.state(runner.stages[0])['finished']


def test_without_submitit_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'submitit', None)
    with pytest.raises(InputError, match=r"pip install 'ldwsccd_mmdet\[slurm\]'"):
        run(make_runner(tmp_path / 'out'), JobSettings(jobs=2))


def test_settings():
    assert JobSettings().in_this_process
    settings = JobSettings(slurm=['partition=gpu', 'time=600'])
    assert settings.slurm == dict(partition='gpu', time=600) and not settings.in_this_process
    with pytest.raises(ConfigError, match='--slurm: expected KEY=VALUE, found gpu'):
        JobSettings(slurm=['gpu'])


def test_slurm_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip('submitit', reason='the extra [slurm] is not installed')
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(ConfigError, match='--slurm: Slurm is not on this machine'):
        run(make_runner(tmp_path / 'out'), JobSettings(slurm=[]))


@pytest.mark.parametrize(
    ('named', 'count', 'expected'), [(None, 2, [0, 1]), ('3,1', 4, [3, 1]), ('', 2, [])]
)
def test_local_jobs_keep_their_gpus(monkeypatch, named, count, expected):
    monkeypatch.setattr(stage_jobs.torch.cuda, 'device_count', lambda: count)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if named is not None:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', named)
    assert stage_jobs._visible_gpus() == expected


def runner_of_comparison(out):
    from ldwsccd_mmdet.experiments.comparison import Comparison, find_models

    configs = ROOT / 'configs' / 'ldwsccd'
    models = find_models([configs / f'{name}_bccd.py' for name in ('ssd256-narrow',)], epochs=1)
    return Comparison(models, out).runner


def runner_of_half_the_boxes(out):
    from ldwsccd_mmdet.experiments.half_the_boxes import HalfTheBoxes, Settings

    config = ROOT / 'configs' / 'ldwsccd' / 'ldwsccd_ssd256-narrow_bccd.py'
    return HalfTheBoxes(Settings(config, 'bccd', out, out / 'x.csv', (0.5,), (0,))).runner


@pytest.mark.parametrize('make', [runner_of_comparison, runner_of_half_the_boxes])
def test_real_stages_can_be_sent_to_a_job(make, tmp_path):
    cloudpickle = pytest.importorskip('cloudpickle', reason='the extra [slurm] is not installed')
    runner = make(tmp_path)
    sent = cloudpickle.loads(cloudpickle.dumps(StageJob(runner, 1)))
    assert [stage.key for stage in sent.runner.stages] == [stage.key for stage in runner.stages]
    assert sent.runner.stages[1].outputs == runner.stages[1].outputs


@pytest.mark.slow
def test_local_jobs_of_submitit(tmp_path, monkeypatch):
    """Two at a time in processes of their own, and again after a stop."""
    pytest.importorskip('submitit', reason='the extra [slurm] is not installed')
    cloudpickle = pytest.importorskip('cloudpickle')
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # jobs can't import the tests
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    runner = make_runner(tmp_path / 'out')
    assert run(runner, JobSettings(jobs=2))[0] == 0
    times = {
        name: json.loads((runner.out / name / 'result').read_text())
        for name in ('first', 'second', 'third', 'fourth')
    }
    assert times['third'][0] > max(times['first'][1], times['second'][1])
    (runner.out / 'third' / 'result').unlink()  # as after a stop
    before = time.time()
    assert run(runner, JobSettings(jobs=2))[0] == 0
    again = json.loads((runner.out / 'third' / 'result').read_text())
    assert again[0] > before
    assert json.loads((runner.out / 'first' / 'result').read_text()) == times['first']
