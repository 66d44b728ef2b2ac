"""Long runs in stages: progress is shown, Ctrl-C is safe, and the next run takes up the rest."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import ConfigError

__all__ = [
    'Show',
    'Stage',
    'StageFailed',
    'StageRunner',
    'claim',
    'command_line',
    'display',
    'hold',
    'last_log_line',
    'run_program',
    'run_stages',
    'stopped_by_signals',
    'test_progress',
    'train_progress',
]

#: Shows how far a stage is: ``show(done, total, text)``.
Show = Callable[[float, float, str], None]
# glibc gives each large tensor back to the system and asks for it again, at a cost in system time.
# These keep the memory, in large pages; other C libraries don't look at them.
KEEP_MEMORY = {
    'MALLOC_MMAP_MAX_': '0',
    'MALLOC_TRIM_THRESHOLD_': str(1 << 34),
    'MALLOC_TOP_PAD_': str(1 << 28),
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1',
}
#: Variable by which a command knows which process it ends with, see ``ldwsccd/parent.py``.
PARENT = 'LDWSCCD_PARENT'
#: Files of :func:`claim`; the programs that are started keep their locks, if this one is killed.
_CLAIMS: list[io.TextIOBase] = []
# "Epoch(train) [2][15/38] ... eta: 0:01:10 ... loss: 4.2", "Epoch(test) [ 3/10] ... eta: 0:00:02"
LOG_LINE = re.compile(
    r'Epoch\((?P<mode>train|test)\)\s+(?:\[(?P<epoch>\d+)\])?\[\s*(?P<done>\d+)/(?P<total>\d+)\]'
    r'.*?eta: (?P<eta>(?:\d+ days?, )?[\d:]+)(?:.*?\sloss: (?P<loss>\S+))?'
)


@dataclass
class Stage:
    """A step of a long run.

    Attributes:
        name: Folder of the stage within the folder of the run.
        title: What is shown.
        settings: What its result depends on, as JSON.
        run: Does the work; gets the function that shows progress.
        needs: Stages it builds on.
        resumable: Whether it goes on from what it left in its folder.
        outputs: Files that are there when it is done.
    """

    name: str
    title: str
    settings: dict[str, Any]
    run: Callable[[Show], None]
    needs: Sequence[Stage] = ()
    resumable: bool = False
    outputs: Sequence[Path] = ()
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = json.dumps(
            [self.settings, [need.key for need in self.needs]], sort_keys=True, default=str
        )
        self.key = hashlib.sha256(content.encode()).hexdigest()


class StageFailed(RuntimeError):
    """A program that a stage started has failed."""


class StageRunner:
    """The stages of a run, their folder and their state on disk.

    Args:
        out: Folder of the run.
        stages: The stages, each after those it needs.
    """

    def __init__(self, out: Path, stages: Sequence[Stage]) -> None:
        self.out = out
        self.stages = stages

    def folder(self, stage: Stage) -> Path:
        """Folder of a stage."""
        return self.out / stage.name

    def marker(self, stage: Stage) -> Path:
        """File that says what a stage was made with, and whether it is finished."""
        return self.out / 'stages' / f'{stage.name}.json'

    def state(self, stage: Stage) -> dict[str, Any]:
        """Read what is known of a stage: finished or not, and the seconds spent on it."""
        try:
            state = json.loads(self.marker(stage).read_text(encoding='utf-8'))
        except (OSError, ValueError):
            state = {}
        if not isinstance(state, dict) or state.get('key') != stage.key:
            return {}
        state['finished'] = bool(state.get('finished')) and all(
            output.is_file() for output in stage.outputs
        )
        return state

    def mark(self, stage: Stage, finished: bool, seconds: float) -> None:
        """Write down how far a stage is."""
        path = self.marker(stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = dict(
            key=stage.key, finished=finished, seconds=round(seconds, 1), settings=stage.settings
        )
        draft = path.with_suffix('.part')
        draft.write_text(json.dumps(content, indent=1, default=str), encoding='utf-8')
        draft.replace(path)

    def run(self, stage: Stage, show: Show) -> None:
        """Do what is not done of a stage.

        Raises:
            StageFailed: It did not do its work.
        """
        state = self.state(stage)
        if not stage.resumable or not state:
            shutil.rmtree(self.folder(stage), ignore_errors=True)
        before = state.get('seconds', 0.0) if stage.resumable else 0.0
        start = time.monotonic()
        finished = False
        try:
            self.mark(stage, False, before)
            stage.run(show)
            missing = [str(output) for output in stage.outputs if not output.is_file()]
            if missing:
                raise StageFailed(f'{stage.title} ended without {", ".join(missing)}')
            finished = True
        finally:
            self.mark(stage, finished, before + time.monotonic() - start)

    def times(self) -> list[tuple[str, float | None]]:
        """List the stages with the seconds spent on each, and the sum."""
        times = [(stage.title, self.state(stage).get('seconds')) for stage in self.stages]
        return [*times, ('Sum', sum(seconds or 0 for _, seconds in times))]


def run_stages(
    runner: StageRunner, console: Console, last_title: str, last: Callable[[Show], None]
) -> int:
    """Run what is not done of all stages, then one more thing that is always done.

    Args:
        runner: The stages.
        console: Where progress is shown.
        last_title: Title of the last thing.
        last: The last thing, such as writing a page.

    Returns:
        The exit code: 0, 1 where a stage failed, 130 where it was interrupted.
    """
    count = len(runner.stages) + 1
    try:
        with display(console) as begin:
            for number, stage in enumerate(runner.stages, start=1):
                show = begin(f'{number}/{count} {stage.title}')
                if runner.state(stage).get('finished'):
                    show(1, 1, 'done before')
                    continue
                start = time.monotonic()
                runner.run(stage, show)
                show(1, 1, f'done in {time.monotonic() - start:.0f} s')
            show = begin(f'{count}/{count} {last_title}')
            last(show)
            show(1, 1, 'done')
    except KeyboardInterrupt:
        console.print(
            f'\nInterrupted. What is done stays in {runner.out}; the same command goes on from '
            'there (a training from its last whole epoch).',
            markup=False,
            soft_wrap=True,
        )
        return 130
    except StageFailed as error:
        console.print(f'\n{error}', style='red', markup=False, soft_wrap=True)
        console.print(
            'The stages before it are kept; the same command tries again from here.',
            soft_wrap=True,
        )
        return 1
    return 0


def run_program(
    command: Sequence[str],
    log: Path,
    progress: Callable[[], tuple[float, float, str]],
    show: Show,
) -> None:
    """Run a program, its output in a file, and show how far it is.

    Args:
        command: The command line.
        log: File for its output.
        progress: Says how far it is: done, total, text.
        show: Shows that.

    Raises:
        StageFailed: The program failed; the message ends with its last lines.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('wb') as output:
        # a session of its own: Ctrl-C reaches this program first, which then ends the other one
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            # it ends with this program, and holds its folder as long as it runs
            env={**KEEP_MEMORY, **os.environ, 'PYTHONUNBUFFERED': '1', PARENT: str(os.getpid())},
            pass_fds=[file.fileno() for file in _CLAIMS if not file.closed],
        )
        try:
            while process.poll() is None:
                show(*progress())
                time.sleep(0.25)
        finally:
            if process.poll() is None:
                stop(process)
    if process.returncode:
        lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
        raise StageFailed(
            f'exit code {process.returncode} of: {shlex.join(command)}\n'
            + '\n'.join(lines[-15:])
            + f'\nThe whole output is in {log}.'
        )
    show(*progress())


def stop(process: subprocess.Popen) -> None:
    """End a program and what it started."""
    for sign, patience in ((signal.SIGINT, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def command_line(*arguments: object, processes: int = 1) -> list[str]:
    """Make the command line that runs ``ldwsccd`` with these arguments in this environment.

    Args:
        *arguments: Of the command.
        processes: How many processes share a training, by torchrun on this machine.
    """
    words = [str(argument) for argument in arguments]
    if processes == 1:
        return [sys.executable, '-m', 'ldwsccd', *words]
    torchrun = ['ldwsccd.processes', '--standalone', f'--nproc_per_node={processes}']
    return [sys.executable, '-m', *torchrun, '-m', 'ldwsccd', *words, '--launcher', 'pytorch']


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Take SIGTERM and SIGHUP for Ctrl-C: a state to go on from is left, and no program."""
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGTERM, signal.SIGHUP)}
    for sign in before:
        signal.signal(sign, signal.default_int_handler)
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def last_log_line(log: Path, mode: str) -> re.Match[str] | None:
    """Find the last line of an MMEngine log that says how far the run is."""
    try:
        with log.open('rb') as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            tail = file.read().decode('utf-8', errors='replace')
    except OSError:
        return None
    matches = [match for match in LOG_LINE.finditer(tail) if match['mode'] == mode]
    return matches[-1] if matches else None


def train_progress(log: Path, epochs: int, resumed: bool) -> tuple[float, float, str]:
    """Read from its log how far a training of so many epochs is."""
    line = last_log_line(log, 'train')
    if line is None:
        return 0, 1, 'starting again' if resumed else 'starting'
    epoch, done, total = (int(line[key]) for key in ('epoch', 'done', 'total'))
    text = f'epoch {epoch}/{epochs}  loss {float(line["loss"]):.2f}  ETA {line["eta"]}'
    return (epoch - 1) * total + done, epochs * total, text


def test_progress(log: Path) -> tuple[float, float, str]:
    """Read from its log how far a test is."""
    line = last_log_line(log, 'test')
    if line is None:
        return 0, 1, 'starting'
    return int(line['done']), int(line['total']), f'ETA {line["eta"]}'


@contextmanager
def display(console: Console) -> Iterator[Callable[[str], Show]]:
    """Show live bars on a terminal, and a line now and then elsewhere.

    Yields:
        A function that begins a stage by its title and returns the function that shows how far the
        stage is.
    """
    if console.is_terminal:
        with Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn('{task.fields[text]}', markup=False),
            console=console,
        ) as bars:

            def begin(title: str) -> Show:
                task = bars.add_task(title, text='', total=None)

                def show(done: float, total: float, text: str) -> None:
                    bars.update(task, completed=done, total=total, text=text)

                return show

            yield begin
        return

    def begin_lines(title: str) -> Show:
        console.print(title, markup=False, soft_wrap=True)
        shown, last = time.monotonic(), ''

        def show(done: float, total: float, text: str) -> None:
            nonlocal shown, last
            if text != last and (done >= total or time.monotonic() - shown >= 10):
                console.print(f'  {done / total:4.0%}  {text}', markup=False, soft_wrap=True)
                shown, last = time.monotonic(), text

        return show

    yield begin_lines


def claim(out: Path, kind: str) -> io.TextIOBase:
    """Make the folder of a run, or take one that an earlier run has made, for this run alone.

    Args:
        out: The folder.
        kind: What runs, such as ``demo``: the file ``demo.json`` marks its folders.

    Returns:
        The open file that holds the claim. Programs that :func:`run_program` starts hold it too.

    Raises:
        ConfigError: The folder holds something else, or another run uses it.
    """
    marker = out / f'{kind}.json'
    if out.exists() and not marker.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(
            f'--out: expected a new or empty folder or one of an earlier {kind}, found {out} with '
            'other things in it; name another folder'
        )
    out.mkdir(parents=True, exist_ok=True)
    file = marker.open('a+', encoding='utf-8')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConfigError(
            f'--out: another {kind} is running in {out}; wait for it, or name another folder'
        ) from error
    hold(file)
    return file


def hold(file: io.TextIOBase) -> None:
    """Let the programs that :func:`run_program` starts hold the lock of an open file, too."""
    _CLAIMS[:] = [*(held for held in _CLAIMS if not held.closed), file]
