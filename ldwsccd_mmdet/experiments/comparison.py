"""Several configs, each trained and tested with several seeds, and one page on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..engine.config_file import find_config, load_config
from ..engine.find_checkpoint import may_resume
from ..errors import ConfigError
from .detector_stages import with_epochs
from .stages import (
    Show,
    Stage,
    StageRunner,
    command_line,
    run_program,
    test_progress,
    train_progress,
)

__all__ = ['NAMES', 'Comparison', 'Model', 'find_models', 'parts_of']

#: The parts of the method, and what a model of them is called in Table 4.
NAMES = {
    (): 'SSD',
    ('teacher',): 'SSD+LDM',
    ('mil_head',): 'SSD+MIL',
    ('teacher', 'mil_head'): 'LD-WSCCD',
}


@dataclass(frozen=True)
class Model:
    """A config of the comparison.

    Attributes:
        path: Its file.
        config: What is in it, with the settings that were overridden.
        name: What the page calls it.
        is_teacher: Whether others are taught by it.
    """

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
        models: As of :func:`find_models`.
        out: Folder of the comparison.
        seeds: Seeds of the trainings; the teacher is trained once, with the first.
        amp: Train in mixed precision.
        report_flags: Further arguments of ``ldwsccd report``.
        processes: How many processes share a training, each with the batch of the config.
    """

    def __init__(
        self,
        models: Sequence[Model],
        out: Path,
        seeds: Sequence[int] = (0,),
        amp: bool = False,
        report_flags: Sequence[str] = (),
        processes: int = 1,
    ) -> None:
        self.models = models
        self.processes = processes
        self.out = out.resolve()
        self.seeds = seeds
        self.amp = amp
        self.report_flags = report_flags
        self.teacher = next((model for model in models if model.is_teacher), None)
        self.runner = StageRunner(self.out, self._stages())

    def runs(self) -> list[tuple[Model, int]]:
        """List models with their seeds; the teacher is trained once, with the first seed."""
        runs = [(self.teacher, self.seeds[0])] if self.teacher is not None else []
        return runs + [(m, seed) for seed in self.seeds for m in self.models if not m.is_teacher]

    def folder(self, model: Model, seed: int) -> Path:
        """Work directory of a training."""
        return self.out / model.path.stem / f'seed_{seed}'

    def test_folder(self, model: Model, seed: int) -> Path:
        """Work directory of a test."""
        return self.out / 'tests' / f'{model.path.stem}_seed_{seed}'

    def config_path(self, model: Model, seed: int) -> Path:
        """Config of one training."""
        return self.out / 'configs' / f'seed_{seed}' / f'{model.path.stem}.py'

    def checkpoint(self, model: Model, seed: int) -> Path:
        """Weights at the end of a training."""
        return self.folder(model, seed) / f'epoch_{model.epochs}.pth'

    def predictions(self, model: Model, seed: int) -> Path:
        """Predictions of a trained model."""
        return self.test_folder(model, seed) / 'predictions.pkl'

    @property
    def page(self) -> Path:
        """The page."""
        return self.out / 'report.html'

    def sources(self) -> list[str]:
        """Name what ``ldwsccd report`` is to show: the teacher last."""
        runs = sorted(self.runs(), key=lambda run: run[0].is_teacher)
        return [f'{m.name}={self.folder(m, seed)},{self.predictions(m, seed)}' for m, seed in runs]

    def train_arguments(self, model: Model, seed: int) -> list[str]:
        """Arguments of ``ldwsccd`` that train."""
        config, folder = self.config_path(model, seed), self.folder(model, seed)
        return ['train', str(config), '--work-dir', str(folder), *['--amp'] * self.amp]

    def test_arguments(self, model: Model, seed: int) -> list[str]:
        """Arguments of ``ldwsccd`` that test."""
        config, checkpoint = self.config_path(model, seed), self.checkpoint(model, seed)
        flags = ['--work-dir', str(self.test_folder(model, seed))]
        flags += ['--out', str(self.predictions(model, seed))]
        return ['test', str(config), str(checkpoint), *flags]

    def report(self, show: Show) -> None:
        """Write the page; the teacher stands last, gains are over the first model."""
        teacher = ['--teacher', self.teacher.name] if self.teacher is not None else []
        run_program(
            command_line(
                'report', *self.sources(), '--out', self.page, *teacher, *self.report_flags
            ),
            self.out / 'report.log',
            lambda: (0, 1, 'measuring'),
            show,
        )

    def make_config(self, model: Model, seed: int) -> Config:
        """Set seed and teacher in a config."""
        config = deepcopy(model.config)
        config.randomness = {**config.get('randomness', {}), 'seed': seed}
        # two, so that one is whole even if the other is cut short
        config.merge_from_dict({'default_hooks.checkpoint.max_keep_ckpts': 2})
        if 'teacher' in model.parts and self.teacher is not None:
            config.model.teacher.checkpoint = str(self.checkpoint(self.teacher, self.seeds[0]))
            config.model.teacher.config = str(self.config_path(self.teacher, self.seeds[0]))
        return config

    def data_stages(self) -> list[Stage]:
        """Stages that all trainings need."""
        return []

    def teacher_in_data(self) -> Stage | None:
        """Return the teacher's training where it is one of :meth:`data_stages`."""
        return None

    def train_settings(self, config: Config) -> dict[str, Any]:
        """What the result of a training depends on."""
        settings = dict(config=config.to_dict(), amp=self.amp)
        return settings | ({'processes': self.processes} if self.processes > 1 else {})

    def _stages(self) -> list[Stage]:
        """Each test right after its training: what is finished can be reported."""
        data = self.data_stages()
        stages = list(data)
        taught_by: list[Stage] = []
        for model, seed in self.runs():
            training = self.teacher_in_data() if model.is_teacher else None
            if training is None:
                training = self._training(model, seed, data, taught_by)
                stages.append(training)
            stages.append(self._test(model, seed, training))
            if model.is_teacher:
                taught_by = [training]
        return stages

    def _training(
        self, model: Model, seed: int, data: Sequence[Stage], taught_by: Sequence[Stage]
    ) -> Stage:
        """Write the config of a training, and make its stage."""
        config = self.make_config(model, seed)
        path = self.config_path(model, seed)
        _write(config, path)
        folder = self.folder(model, seed)
        log = folder / 'train.log'

        def train(show: Show) -> None:
            resumed = may_resume(folder)
            words = [*self.train_arguments(model, seed), *['--resume'] * resumed]
            run_program(
                command_line(*words, processes=self.processes),
                log,
                lambda: train_progress(log, model.epochs, resumed),
                show,
            )

        return Stage(
            folder.relative_to(self.out).as_posix(),
            f'Train {self._title(model, seed)}',
            self.train_settings(config),
            train,
            needs=[*data, *(taught_by if 'teacher' in model.parts else [])],
            resumable=True,
            outputs=[self.checkpoint(model, seed)],
        )

    def _test(self, model: Model, seed: int, training: Stage) -> Stage:
        """Make the stage of a test."""
        folder = self.test_folder(model, seed)
        log = folder / 'test.log'

        def test(show: Show) -> None:
            command = command_line(*self.test_arguments(model, seed))
            run_program(command, log, lambda: test_progress(log), show)

        return Stage(
            folder.relative_to(self.out).as_posix(),
            f'Test {self._title(model, seed)}',
            {},
            test,
            needs=[training],
            outputs=[self.predictions(model, seed)],
        )

    def _title(self, model: Model, seed: int) -> str:
        return f'{model.name}, seed {seed}'


def find_models(
    paths: Sequence[str | Path],
    options: Mapping[str, Any] | Sequence[str] | None = None,
    epochs: int | None = None,
    teacher_epochs: int | None = None,
) -> list[Model]:
    """Read the configs: the teacher first, then by the parts of the method that they have.

    Args:
        paths: Config files, or folders of them.
        options: Settings to override in all of them, see :func:`load_config`.
        epochs: Length of all trainings instead of their own.
        teacher_epochs: Length of the teacher's training; None: as ``epochs``.

    Raises:
        ConfigError: There is no config, or it cannot be compared.
    """
    configs = {
        file.resolve(): load_config(str(file), options, ('model',)) for file in _config_files(paths)
    }
    teacher = _find_teacher(configs, options)
    stems = [path.stem for path in configs]
    if len(set(stems)) < len(stems):
        raise ConfigError(f'two configs have the same file name ({", ".join(stems)}): rename one')
    for path, config in configs.items():
        if not config.get('train_cfg', {}).get('max_epochs'):
            raise ConfigError(f'{path} has no train_cfg.max_epochs: train it by epochs')
        length = teacher_epochs or epochs if path == teacher else epochs
        with_epochs(config, length)
    students = [path for path in configs if path != teacher]
    parts = [parts_of(configs[path]) for path in students]
    by_parts = len(set(parts)) == len(parts)
    models = [
        Model(path, configs[path], NAMES[part] if by_parts else path.stem)
        for path, part in sorted(
            zip(students, parts, strict=True), key=lambda p: (len(p[1]), 'mil_head' in p[1])
        )
    ]
    return [Model(teacher, configs[teacher], 'Teacher', True), *models] if teacher else models


def _config_files(paths: Sequence[str | Path]) -> list[Path]:
    """List the config files that are named, or lie in a folder that is."""
    files: list[Path] = []
    for path in map(Path, paths):
        found = sorted(path.glob('*.py')) if path.is_dir() else [find_config(str(path))]
        if not found:
            raise ConfigError(f"'{path}' has no config (*.py): name a folder that has some")
        files += found
    return files


def _find_teacher(
    configs: dict[Path, Config], options: Mapping[str, Any] | Sequence[str] | None
) -> Path | None:
    """Find the config that the others are taught by, and add it to them."""
    taught_by: set[Path] = set()
    for config in list(configs.values()):
        teacher = config.model.get('teacher') or {}
        name = teacher.get('config')
        if isinstance(name, str) and '::' not in name:
            file = find_config(name).resolve()
            if file not in configs:
                configs[file] = load_config(str(file), options)
            taught_by.add(file)
    if len(taught_by) > 1:
        listed = ', '.join(sorted(path.name for path in taught_by))
        raise ConfigError(f'the configs name several teachers ({listed}): compare them one by one')
    return taught_by.pop() if taught_by else None


def _write(config: Config, path: Path) -> None:
    """Write a config as Python; ``Config.dump`` takes a second to lay it out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'{key} = {value!r}\n' for key, value in config.to_dict().items()]
    path.write_text(''.join(lines), encoding='utf-8')
