"""The stages of a run as jobs, several at a time: on a Slurm cluster, or on this machine."""

from __future__ import annotations

import fcntl
import functools
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from ..errors import ConfigError
from ..optional import require
from .stages import Show, Stage, StageFailed, StageRunner, display, hold, run_stages

__all__ = ['JobSettings', 'StageJob', 'StageJobs', 'run_stages_as']

_LOCAL_MINUTES = 60 * 24 * 365  # submitit ends a local job after two minutes otherwise
_SLURM_MINUTES = 60 * 24  # and one on Slurm after five
_POLL_SECONDS = 1.0
# 'ldwsccd_mmdet.experiments.stages.StageFailed: exit code 1 of ...', without the module
_ERROR_LINE = re.compile(r'^(?:\w+\.)*(\w*(?:Error|Failed|Interrupt|Exit).*)$', re.MULTILINE)
_PATIENCE = 20.0  # seconds for a job to end, and for a shared disk to show what it has written


class JobSettings:
    """How the stages of a run are run.

    Args:
        jobs: How many at a time, 1 or more; None: one after the other in this process or, on
            Slurm, all that can run.
        slurm: Arguments of ``sbatch`` as KEY=VALUE, by submitit's names, such as
            ``partition=gpu``, ``gpus_per_node=1``, ``time=600`` (minutes, default 1440); None: this
            machine.

    Raises:
        ConfigError: A text has no equals sign.
    """

    def __init__(self, jobs: int | None = None, slurm: list[str] | None = None) -> None:
        self.jobs = jobs
        self.slurm: dict[str, Any] | None = None if slurm is None else _settings(slurm)

    @property
    def in_this_process(self) -> bool:
        """Whether there are no jobs at all."""
        return self.slurm is None and self.jobs is None


def _settings(texts: list[str]) -> dict[str, Any]:
    """Read KEY=VALUE; what is a number becomes one."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals:
            raise ConfigError(f'--slurm: expected KEY=VALUE, found {text}')
        found[key] = int(value) if value.isdigit() else value
    return found


class StageJob:
    """What a job does: one stage, which no other job may be doing.

    Args:
        runner: The stages.
        number: Place of the stage among them.
    """

    def __init__(self, runner: StageRunner, number: int) -> None:
        self.runner = runner
        self.number = number

    def __call__(self) -> None:
        """Do what is not done of the stage.

        Raises:
            StageFailed: It did not do its work, or another job is at it.
        """
        stage = self.runner.stages[self.number]
        # an earlier command may have been killed and have left its job running
        lock = self.runner.marker(stage).with_suffix('.lock')
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open('a+', encoding='utf-8') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StageFailed(
                    f'{stage.title}: another job of {self.runner.out} is at it; wait for it, or '
                    'cancel it'
                ) from error
            hold(file)
            if not self.runner.state(stage).get('finished'):
                self.runner.run(stage, _Minutely())

    def checkpoint(self) -> Any:
        """Begin again where Slurm ends a job for its time: a training goes on from its last epoch.

        submitit calls it, and puts the job into the queue again.
        """
        return require('submitit', 'slurm', 'A job').helpers.DelayedSubmission(self)


class _Minutely:
    """Shows progress in the job's own log, once a minute."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        if now - self._said > 60:
            print(f'{done / total:4.0%}  {text}', flush=True)
            self._said = now


class StageJobs:
    """Hands out the stages of a run as soon as those that they need are finished.

    Args:
        runner: The stages.
        settings: Where they run, and how many at a time.

    Raises:
        InputError: submitit is not installed.
        ConfigError: Slurm is not there, or does not know a setting.
    """

    def __init__(self, runner: StageRunner, settings: JobSettings) -> None:
        self.runner = runner
        self.jobs = settings.jobs or (1 if settings.slurm is None else len(runner.stages))
        self.executor = _executor(runner.out / 'jobs', settings.slurm)
        self.named = settings.slurm is not None and 'job_name' not in settings.slurm
        self.running: dict[int, Any] = {}
        self.failed: dict[int, str] = {}

    def finished(self, stage: Stage) -> bool:
        """Whether a stage is done."""
        return bool(self.runner.state(stage).get('finished'))

    def ready(self) -> list[int]:
        """List the stages that can begin now, in their order, no more than may run at a time."""
        free = self.jobs - len(self.running)
        found = [
            number
            for number, stage in enumerate(self.runner.stages)
            if number not in self.running and number not in self.failed
            if not self.finished(stage) and all(self.finished(need) for need in stage.needs)
        ]
        return found[: max(free, 0)]

    def submit(self, number: int) -> str:
        """Hand out a stage; returns the id of its job."""
        stage = self.runner.stages[number]
        if self.named:
            self.executor.update_parameters(job_name=stage.name.replace('/', '-'))
        self.running[number] = self.executor.submit(StageJob(self.runner, number))
        return str(self.running[number].job_id)

    def collect(self) -> list[int]:
        """Take what has ended out of what runs; returns these stages."""
        ended = [number for number, job in self.running.items() if job.done()]
        for number in ended:
            settled = functools.partial(self._settled, number)
            if not _wait_until(settled):
                job_id = self.running[number].job_id
                self.failed[number] = f'its job {job_id} ended without a result'
            elif not self.finished(self.runner.stages[number]):
                self.failed[number] = _reason(self.running[number])
            del self.running[number]
        return ended

    def _settled(self, number: int) -> bool:
        """Whether the disk shows what became of the job of a stage."""
        result = self.running[number].paths.result_pickle
        return self.finished(self.runner.stages[number]) or bool(result.exists())

    def cancel(self) -> None:
        """End what runs, and wait for it."""
        for job in self.running.values():
            job.cancel(check=False)
        _wait_until(lambda: all(job.done() for job in self.running.values()))


def _executor(folder: Path, slurm: Mapping[str, Any] | None) -> Any:
    """Make what submits jobs; their logs lie in a folder."""
    submitit = require('submitit', 'slurm', 'Running stages as jobs')
    if slurm is None:
        executor = submitit.LocalExecutor(folder)
        devices = _visible_gpus()
        # submitit hides all GPUs from a local job that asks for none
        gpus = dict(gpus_per_node=len(devices), visible_gpus=devices) if devices else {}
        executor.update_parameters(timeout_min=_LOCAL_MINUTES, **gpus)
        return executor
    try:
        executor = submitit.SlurmExecutor(folder)
        executor.update_parameters(**{'time': _SLURM_MINUTES, **slurm})
    except RuntimeError as error:
        raise ConfigError(
            f'--slurm: Slurm is not on this machine ({error}); run it where sbatch is, or leave '
            '--slurm out'
        ) from error
    except ValueError as error:
        raise ConfigError(f'--slurm: {error}') from error
    return executor


def _visible_gpus() -> list[int]:
    """List the GPUs that this process may use."""
    named = os.environ.get('CUDA_VISIBLE_DEVICES')
    if named is None:
        return list(range(torch.cuda.device_count()))
    return [int(device) for device in named.split(',') if device.strip().isdigit()]


def _reason(job: Any) -> str:
    """Why a job failed: the error of its stage, and where its log lies."""
    # submitit quotes the whole traceback
    lines = _ERROR_LINE.findall(str(job.exception()))
    text = lines[-1] if lines else 'no message'
    return f'{text} (the whole of it is in {job.paths.stderr})'


def _wait_until(fine: Callable[[], bool]) -> bool:
    """Wait for something, not for long."""
    end = time.monotonic() + _PATIENCE
    while not fine():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def run_stages_as(
    settings: JobSettings,
    runner: StageRunner,
    console: Console,
    last_title: str,
    last: Callable[[Show], None],
) -> int:
    """Run what is not done of all stages, here or as jobs, then one more thing.

    A stage whose job fails holds up only those that need it. Ctrl-C cancels the jobs.

    Args:
        settings: Where stages run.
        runner: The stages.
        console: Where progress is shown.
        last_title: Title of the last thing.
        last: The last thing, such as writing a page; not done where a stage failed.

    Returns:
        The exit code: 0, 1 where a stage failed, 130 where it was interrupted.
    """
    if settings.in_this_process:
        return run_stages(runner, console, last_title, last)
    jobs = StageJobs(runner, settings)
    try:
        _run_jobs(jobs, console)
        if jobs.failed:
            _tell_failures(jobs, console)
            return 1
        with display(console) as begin:
            show = begin(last_title)
            last(show)
            show(1, 1, 'done')
    except KeyboardInterrupt:
        jobs.cancel()
        console.print(
            f'\nInterrupted, its jobs are cancelled. What is done stays in {runner.out}; the same '
            'command goes on from there (a training from its last whole epoch).',
            markup=False,
            soft_wrap=True,
        )
        return 130
    except StageFailed as error:
        console.print(f'\n{error}', style='red', markup=False, soft_wrap=True)
        return 1
    return 0


def _run_jobs(jobs: StageJobs, console: Console) -> None:
    """Submit and collect until nothing runs and nothing can begin."""
    stages = jobs.runner.stages

    def say(number: int, text: str) -> None:
        title = f'{number + 1}/{len(stages)} {stages[number].title}'
        console.print(f'{title}: {text}', markup=False, soft_wrap=True)

    for number, stage in enumerate(stages):
        if jobs.finished(stage):
            say(number, 'done before')
    while True:
        for number in jobs.ready():
            say(number, f'job {jobs.submit(number)}')
        if not jobs.running:
            return
        time.sleep(_POLL_SECONDS)
        for number in jobs.collect():
            seconds = jobs.runner.state(stages[number]).get('seconds', 0)
            say(number, 'failed' if number in jobs.failed else f'done in {seconds:.0f} s')


def _tell_failures(jobs: StageJobs, console: Console) -> None:
    stages = jobs.runner.stages
    for number, reason in jobs.failed.items():
        text = f'\n{stages[number].title} failed: {reason}'
        console.print(text, style='red', markup=False, soft_wrap=True)
    waiting = sum(not jobs.finished(stage) for stage in stages) - len(jobs.failed)
    console.print(
        f'{waiting} other stages need these. What is done is kept; the same command tries again.',
        markup=False,
        soft_wrap=True,
    )
