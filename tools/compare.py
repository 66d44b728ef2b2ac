"""Run an ablation: train a teacher and several configs with several seeds, test, and report.

Examples:
    python tools/compare.py configs/cric --seeds 0 1 2 --amp
    python tools/compare.py configs/bccd/ssd256-narrow_bccd.py configs/bccd/ldwsccd_*.py --amp

Run again, it takes up what is done: finished runs are kept, an interrupted training goes on from
its last epoch, and changed settings repeat only what depends on them. Ctrl-C at any time.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from rich.console import Console

from ldwsccd_mmdet import cli
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments.report.sources import existing_path
from ldwsccd_mmdet.experiments.stages import (
    Show,
    Stage,
    StageRunner,
    claim,
    run_program,
    run_stages,
    test_progress,
    tool_command,
    train_progress,
)

# the parts of the method, and what a model of them is called in Table 4
NAMES = {
    (): 'SSD',
    ('teacher',): 'SSD+LDM',
    ('mil_head',): 'SSD+MIL',
    ('teacher', 'mil_head'): 'LD-WSCCD',
}


@dataclass(frozen=True)
class Model:
    """A config of the ablation."""

    path: Path
    config: Config
    name: str
    is_teacher: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the method that it has."""
        return parts_of(self.config)

    @property
    def epochs(self) -> int:
        """Epochs that it is trained."""
        return self.config.train_cfg.max_epochs


def parts_of(config: Config) -> tuple[str, ...]:
    """Name the parts of the method that a config has."""
    return tuple(part for part in ('teacher', 'mil_head') if config.model.get(part))


class Comparison:
    """The trainings and tests, and where they lie.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out = Path(args.out).resolve()
        self.models = find_models(args.configs, args.cfg_options, args.epochs)
        self.teacher = next((model for model in self.models if model.is_teacher), None)
        self.runner = StageRunner(self.out, self._stages())

    def runs(self) -> list[tuple[Model, int]]:
        """List models with their seeds; the teacher is trained once, with the first seed."""
        seeds = self.args.seeds
        runs = [(self.teacher, seeds[0])] if self.teacher is not None else []
        return runs + [(m, seed) for seed in seeds for m in self.models if not m.is_teacher]

    def folder(self, model: Model, seed: int) -> Path:
        """Work directory of a training."""
        return self.out / model.path.stem / f'seed_{seed}'

    def checkpoint(self, model: Model, seed: int) -> Path:
        """Weights at the end of a training."""
        return self.folder(model, seed) / f'epoch_{model.epochs}.pth'

    def predictions(self, model: Model, seed: int) -> Path:
        """Predictions of a trained model."""
        return self.out / 'tests' / f'{model.path.stem}_seed_{seed}' / 'predictions.pkl'

    def config_path(self, model: Model, seed: int) -> Path:
        """Config of one training."""
        return self.out / 'configs' / f'seed_{seed}' / f'{model.path.stem}.py'

    def _config(self, model: Model, seed: int) -> Config:
        """Set seed and teacher in a config."""
        config = deepcopy(model.config)
        config.randomness = {**config.get('randomness', {}), 'seed': seed}
        # two, so that one is whole even if the other is cut short
        config.merge_from_dict({'default_hooks.checkpoint.max_keep_ckpts': 2})
        if 'teacher' in model.parts and self.teacher is not None:
            config.model.teacher.checkpoint = str(self.checkpoint(self.teacher, self.args.seeds[0]))
            config.model.teacher.config = str(self.config_path(self.teacher, self.args.seeds[0]))
        return config

    def _stages(self) -> list[Stage]:
        trainings: list[Stage] = []
        tests: list[Stage] = []
        for model, seed in self.runs():
            config = self._config(model, seed)
            path = self.config_path(model, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            config.dump(str(path))
            taught = 'teacher' in model.parts and self.teacher is not None
            training = Stage(
                f'{model.path.stem}/seed_{seed}',
                f'Train {model.name}, seed {seed}',
                dict(config=config.to_dict(), amp=self.args.amp),
                lambda show, m=model, s=seed: self._train(m, s, show),
                needs=trainings[:1] if taught else [],
                resumable=True,
                outputs=[self.checkpoint(model, seed)],
            )
            trainings.append(training)
            test = Stage(
                f'tests/{model.path.stem}_seed_{seed}',
                f'Test {model.name}, seed {seed}',
                {},
                lambda show, m=model, s=seed: self._test(m, s, show),
                needs=[training],
                outputs=[self.predictions(model, seed)],
            )
            tests.append(test)
        # each test right after its training: what is finished can be reported
        return [stage for pair in zip(trainings, tests, strict=True) for stage in pair]

    def _train(self, model: Model, seed: int, show: Show) -> None:
        folder = self.folder(model, seed)
        resumed = (folder / 'last_checkpoint').is_file()
        flags = ['--amp'] * self.args.amp + ['--resume'] * resumed
        log = folder / 'train.log'
        run_program(
            tool_command(
                'tools/train.py', self.config_path(model, seed), '--work-dir', folder, *flags
            ),
            log,
            lambda: train_progress(log, model.epochs, resumed),
            show,
            Path.cwd(),
        )

    def _test(self, model: Model, seed: int, show: Show) -> None:
        out = self.predictions(model, seed)
        log = out.parent / 'test.log'
        run_program(
            tool_command(
                'tools/test.py',
                self.config_path(model, seed),
                self.checkpoint(model, seed),
                '--work-dir',
                out.parent,
                '--out',
                out,
            ),
            log,
            lambda: test_progress(log),
            show,
            Path.cwd(),
        )

    def report(self, show: Show) -> None:
        """Write the page; the teacher stands last, gains are over the first model."""
        runs = sorted(self.runs(), key=lambda run: run[0].is_teacher)
        sources = [
            f'{model.name}={self.folder(model, seed)},{self.predictions(model, seed)}'
            for model, seed in runs
        ]
        teacher = ['--teacher', self.teacher.name] if self.teacher is not None else []
        run_program(
            tool_command(
                'tools/report.py',
                *sources,
                '--out',
                self.page,
                *teacher,
                *shlex.split(self.args.report),
            ),
            self.out / 'report.log',
            lambda: (0, 1, 'measuring'),
            show,
            Path.cwd(),
        )

    @property
    def page(self) -> Path:
        """The page."""
        return self.out / 'report.html'


def find_models(
    paths: Sequence[str], options: dict[str, Any] | None = None, epochs: int | None = None
) -> list[Model]:
    """Read the configs: the teacher first, then by the parts of the method that they have.

    Args:
        paths: Config files, or folders of them.
        options: Settings to override in all of them.
        epochs: Length of all trainings instead of their own.

    Raises:
        ConfigError: There is no config, or it cannot be compared.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        found = sorted(path.glob('*.py')) if path.is_dir() else [path]
        if not found:
            raise ConfigError(f"'{path}' has no config (*.py): name a folder that has some")
        files += found
    configs = {file.resolve(): cli.load_config(str(file), options) for file in files}
    taught_by: set[Path] = set()
    for config in list(configs.values()):
        teacher = config.model.get('teacher') or {}
        if isinstance(teacher.get('config'), str):
            file = existing_path(teacher.config).resolve()
            if file not in configs:
                configs[file] = cli.load_config(str(file), options)
            taught_by.add(file)
    if len(taught_by) > 1:
        listed = ', '.join(sorted(path.name for path in taught_by))
        raise ConfigError(f'the configs name several teachers ({listed}): compare them one by one')
    stems = [path.stem for path in configs]
    if len(set(stems)) < len(stems):
        raise ConfigError(f'two configs have the same file name ({", ".join(stems)}): rename one')
    for path, config in configs.items():
        if not config.get('train_cfg', {}).get('max_epochs'):
            raise ConfigError(f'{path} has no train_cfg.max_epochs: train it by epochs')
        if epochs is not None:
            set_epochs(config, epochs)
    students = [path for path in configs if path not in taught_by]
    parts = [parts_of(configs[path]) for path in students]
    by_parts = len(set(parts)) == len(parts)
    models = [
        Model(path, configs[path], NAMES[part] if by_parts else path.stem)
        for path, part in sorted(
            zip(students, parts, strict=True), key=lambda p: (len(p[1]), 'mil_head' in p[1])
        )
    ]
    teachers = [Model(path, configs[path], 'Teacher', True) for path in taught_by]
    return teachers + models


def set_epochs(config: Config, epochs: int) -> None:
    """Train so many epochs; schedules that ended with the training still do."""
    old = config.train_cfg.max_epochs
    config.train_cfg.max_epochs = epochs
    for scheduler in config.get('param_scheduler') or []:
        for key in ('end', 'T_max'):
            if scheduler.get(key) == old and scheduler.get('by_epoch', True):
                scheduler[key] = epochs


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('configs', nargs='+', help='config files, or folders of them; their teacher is found')
    add('--seeds', type=int, nargs='+', default=[0], help='of the trainings (default: 0)')
    add('--out', metavar='DIR', help='(default: work_dirs/compare_<name of the folder>)')
    add('--amp', action='store_true', help='mixed precision, as in tools/train.py')
    add('--epochs', type=int, help='length of all trainings (default: as in their configs)')
    add('--report', default='', metavar='FLAGS', help="flags of tools/report.py, in one '...'")
    add(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings to override in all configs',
    )
    args = parser.parse_args(argv)
    if any(seed < 0 for seed in args.seeds) or len(set(args.seeds)) < len(args.seeds):
        parser.error('--seeds: expected numbers of 0 or more, each once')
    if args.epochs is not None and args.epochs < 1:
        parser.error('--epochs: expected 1 or more')
    if args.out is None:
        first = Path(args.configs[0])
        args.out = f'work_dirs/compare_{first.name if first.is_dir() else first.parent.name}'
    return args


def main(args: argparse.Namespace, console: Console | None = None) -> int:
    """Run the comparison; returns the exit code."""
    console = console or Console()
    with claim(Path(args.out).resolve(), 'comparison'):
        comparison = Comparison(args)
        code = run_stages(comparison.runner, console, 'Write the page', comparison.report)
    if code == 0:
        table = comparison.page.with_suffix('.md').read_text(encoding='utf-8').split('\n## ')[1]
        console.print(table, markup=False, highlight=False, soft_wrap=True)
        console.print(f'Page: {comparison.page}', markup=False, soft_wrap=True, highlight=False)
    return code


if __name__ == '__main__':
    for sign in (signal.SIGTERM, signal.SIGHUP):  # leave a state to go on from, and no program
        signal.signal(sign, signal.default_int_handler)
    sys.exit(cli.run_tool(main, parse_args()))
