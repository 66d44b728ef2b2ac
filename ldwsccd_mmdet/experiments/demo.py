"""The demo: a comparison on smears that its first stage draws."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ..datasets.coco_json import read_coco
from .comparison import Comparison, Model, find_models
from .report import Report, collect_report, parse_source
from .stages import Show, Stage, command_line, run_program

__all__ = ['Demo', 'Smears']

PACKAGE = Path(__file__).resolve().parents[1]
CONFIGS = ('ldwsccd_ssd256-narrow_synthetic.py', 'ssd256-narrow_synthetic.py')
# crowded and evenly stained, so that a few hundred steps teach something
DRAWING = dict(crowding=3.0, variation=0.6)
#: What the result of a stage depends on, apart from its settings; folders of the package.
CODE = {'data': ('preparation/synthetic',), 'train': ('models', 'engine/optimizers')}
INTRO = (
    'Every image on this page is drawn by a program, not photographed: the page shows that the '
    'system runs from end to end, and says nothing about real smears.'
)


@dataclass(frozen=True)
class Smears:
    """The smears of the demo.

    Attributes:
        num_train: Training smears.
        num_val: Test smears.
        seed: Seed of smears and trainings.
        missing: Fraction of the training boxes that are left out.
        wrong_class: Fraction of the training boxes that get a wrong class.
    """

    num_train: int
    num_val: int
    seed: int
    missing: float
    wrong_class: float

    def arguments(self) -> list[str]:
        """Arguments of ``ldwsccd draw``."""
        settings = {**asdict(self), **DRAWING}
        return [f'--{key.replace("_", "-")}={value}' for key, value in settings.items()]


class Demo(Comparison):
    """Teacher, SSD and LD-WSCCD on the same smears.

    Args:
        smears: The smears.
        out: Folder of the demo.
        epochs: Epochs of SSD and LD-WSCCD.
        teacher_epochs: Epochs of the teacher.
    """

    def __init__(self, smears: Smears, out: Path, epochs: int, teacher_epochs: int) -> None:
        self.smears = smears
        self.data = out.resolve() / 'data'
        models = find_models(CONFIGS, epochs=epochs, teacher_epochs=teacher_epochs)
        super().__init__(models, out, [smears.seed], amp=True)

    def folder(self, model: Model, seed: int) -> Path:
        """Work directory of a training."""
        return self.out / model.name.lower()

    def test_folder(self, model: Model, seed: int) -> Path:
        """Work directory of a test."""
        return self.out / f'test-{model.name.lower()}'

    def config_path(self, model: Model, seed: int) -> Path:
        """Config of a training."""
        return self.out / 'configs' / f'{model.name.lower()}.py'

    @property
    def page(self) -> Path:
        """The page."""
        return self.out / 'index.html'

    def make_config(self, model: Model, seed: int) -> Config:
        """Set data and seed in a config; the test at the end is enough."""
        config = super().make_config(model, seed)
        root = f'{self.data}/'
        config.merge_from_dict(
            {
                'train_dataloader.dataset.data_root': root,
                'test_dataloader.dataset.data_root': root,
                'test_evaluator.ann_file': f'{root}val.json',
                'default_hooks.logger.interval': 5,
                'default_hooks.checkpoint.interval': 1,
                'default_hooks.checkpoint.save_best': None,
            }
        )
        config.val_dataloader = config.val_evaluator = config.val_cfg = None
        return config

    def train_settings(self, config: Config) -> dict[str, Any]:
        """What the result of a training depends on: the code of the models, too."""
        return dict(super().train_settings(config), code=_digest(CODE['train']))

    def data_stages(self) -> list[Stage]:
        """Draw the smears."""
        settings = dict(asdict(self.smears), **DRAWING, code=_digest(CODE['data']))
        title = f'Draw {self.smears.num_train} + {self.smears.num_val} smears'
        outputs = [self.data / 'train.json', self.data / 'val.json']
        return [Stage('data', title, settings, self._draw, outputs=outputs)]

    def _draw(self, show: Show) -> None:
        total = self.smears.num_train + self.smears.num_val
        pictures = f'.{self.data.name}.part-*/images/*'

        def progress() -> tuple[float, float, str]:
            done = sum(1 for _ in self.out.glob(pictures))
            return done, total, f'{done} of {total}' if done else 'starting'

        for rest in self.out.glob(f'.{self.data.name}.part-*'):  # of a run that was cut short
            shutil.rmtree(rest)
        # a second process takes seconds to start
        workers = min(2, os.cpu_count() or 1) if total > 200 else 1
        command = command_line(*self.draw_arguments(), f'--workers={workers}')
        run_program(command, self.out / 'data.log', progress, show)

    def draw_arguments(self) -> list[str]:
        """Arguments of ``ldwsccd`` that draw."""
        return ['draw', f'--out={self.data}', *self.smears.arguments()]

    def _title(self, model: Model, seed: int) -> str:
        return model.name

    def collect(self, num_fields: int, score_thr: float | None, command: str) -> Report:
        """Measure the models, and put the page together.

        Args:
            num_fields: Smears shown.
            score_thr: Least score of a detection shown; None: each model at its best F1.
            command: The command that runs the demo.
        """
        report = collect_report(
            [parse_source(source) for source in self.sources()],
            dict(score_thr=score_thr),
            title='LD-WSCCD on synthetic Pap smears',
            baseline='SSD',
            teacher='Teacher',
            num_fields=num_fields,
        )
        smears = self.smears
        faults = count_faults(self.data / 'train_clean.json', self.data / 'train.json')
        missing, wrong = faults['Boxes left out'], faults['Boxes of a wrong class']
        labels = (
            f'All models learn from the same {smears.num_train} training images, whose labels '
            f'have faults put in on purpose ({missing} of the boxes are left out, {wrong} have '
            f'a wrong class). The labels of the {smears.num_val} test images are the truth.'
        )
        facts = {
            'Training images': smears.num_train,
            'Test images': smears.num_val,
            'Image size': '256 x 256 px',
            'Seed': smears.seed,
            **faults,
            'Faults in the test labels': 'none',
        }
        return replace(
            report,
            # the commands stand below once, step by step
            models=[
                replace(model, runs=[replace(run, commands=()) for run in model.runs])
                for model in report.models
            ],
            intro=[INTRO, labels, *report.intro],
            facts={'Data and label faults': facts, 'Environment': environment(), **report.facts},
            stages=self.runner.times(),
            commands=self.shell_commands(command),
        )

    def shell_commands(self, command: str) -> list[str]:
        """Write the commands that repeat the run: all of it, or step by step."""
        runs = self.runs()
        steps = [
            self.draw_arguments(),
            *(self.train_arguments(*run) for run in runs),
            *(self.test_arguments(*run) for run in runs),
        ]
        lines = [shlex.join(['ldwsccd', *(_relative(word) for word in step)]) for step in steps]
        return ['# all of it', command, '# or step by step', *lines]


def count_faults(clean: Path, faulty: Path) -> dict[str, str]:
    """Count how the training labels differ from the truth."""
    truth = {ann['id']: ann for ann in read_coco(clean).content['annotations']}
    labels = {ann['id']: ann for ann in read_coco(faulty).content['annotations']}
    wrong = sum(ann['category_id'] != truth[key]['category_id'] for key, ann in labels.items())
    total = max(len(truth), 1)
    missing = len(truth) - len(labels)
    return {
        'Training boxes, true': f'{len(truth)}',
        'Boxes left out': f'{missing} ({missing / total:.0%})',
        'Boxes of a wrong class': f'{wrong} ({wrong / max(len(labels), 1):.0%} of those kept)',
    }


def environment() -> Mapping[str, str]:
    """Name what the demo ran on."""
    facts = {'Python': platform.python_version()}
    for package in ('torch', 'mmdet', 'mmengine', 'mmcv', 'ldwsccd_mmdet'):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = 'not installed as a package'
    facts['Device'] = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU: {_cpu_name()}'
    )
    affinity = getattr(os, 'sched_getaffinity', None)  # Linux alone has it
    facts['CPU cores'] = str(len(affinity(0)) if affinity else os.cpu_count())
    return facts


def _cpu_name() -> str:
    """Name the processor."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return match[1] if match else platform.machine()


def _digest(folders: Sequence[str]) -> str:
    """Hash the Python files below some folders of the package."""
    total = hashlib.sha256()
    for folder in folders:
        for file in sorted((PACKAGE / folder).rglob('*.py')):
            total.update(str(file.relative_to(PACKAGE)).encode() + b'\0' + file.read_bytes())
    return total.hexdigest()


def _relative(word: str) -> str:
    """Write a path as seen from the working directory, if it lies in it."""
    here = f'{Path.cwd()}{os.sep}'
    return word.replace(here, '')
