"""The main job from end to end on synthetic smears: draw, train, test, and one HTML page.

Run again, it takes up what is done: finished stages are skipped, an interrupted training goes on
from its last epoch, and changed settings repeat only what depends on them.

Example:
    python tools/demo.py --out work_dirs/demo --missing 0.3 --wrong-class 0.05
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table

from ldwsccd_mmdet.datasets.coco_json import load_truth, truth_boxes
from ldwsccd_mmdet.datasets.palette import class_palette
from ldwsccd_mmdet.errors import InputError
from ldwsccd_mmdet.evaluation import evaluate_detections, load_predictions
from ldwsccd_mmdet.experiments.report import (
    ModelResult,
    Report,
    Run,
    choose_fields,
    read_training_log,
    write_report,
)
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
from ldwsccd_mmdet.visualization import draw_detections
from ldwsccd_mmdet.visualization.label_layout import label_font

ROOT = Path(__file__).resolve().parents[1]

# crowded and evenly stained, so that a few hundred steps teach something
SMEARS = dict(crowding=3.0, variation=0.6)
# what the result of a stage depends on, apart from its settings
CODE = {
    'data': ('ldwsccd_mmdet/preparation/synthetic',),
    'train': ('ldwsccd_mmdet/models', 'ldwsccd_mmdet/engine/optimizers'),
}


@dataclass(frozen=True)
class Model:
    """A detector that the demo trains."""

    key: str
    name: str
    role: str
    config: str
    teacher: str | None = None


TEACHER = Model(
    'teacher',
    'Teacher',
    'the narrow SSD of the student, trained longer',
    'configs/synthetic/teacher_ssd256_synthetic.py',
)
LDWSCCD = Model(
    'ld-wsccd',
    'LD-WSCCD',
    'narrow SSD + local distillation + MIL refinement',
    'configs/synthetic/ldwsccd_ssd256-narrow_synthetic.py',
    teacher='teacher',
)
SSD = Model(
    'ssd', 'SSD', 'the same narrow SSD alone', 'configs/synthetic/ssd256-narrow_synthetic.py'
)
MODELS = (TEACHER, LDWSCCD, SSD)


class Demo:
    """The stages, their folder and their state on disk.

    Args:
        args: The command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.out = Path(args.out).resolve()  # the programs it starts run in ROOT
        self.configs = {model.key: self._write_config(model) for model in MODELS}
        self.data = self.out / 'data'
        self.stages = self._stages()
        self.runner = StageRunner(self.out, self.stages)

    def _stages(self) -> list[Stage]:
        args = self.args
        data = Stage(
            'data',
            f'Draw {args.num_train} + {args.num_val} smears',
            dict(
                num_train=args.num_train,
                num_val=args.num_val,
                seed=args.seed,
                missing=args.missing,
                wrong_class=args.wrong_class,
                **SMEARS,
                code=digest(CODE['data']),
            ),
            self._draw,
            outputs=[self.data / 'train.json', self.data / 'val.json'],
        )
        trainings: dict[str, Stage] = {}
        tests = []
        for model in MODELS:
            needs = [data] + ([trainings[model.teacher]] if model.teacher else [])
            trainings[model.key] = Stage(
                model.key,
                f'Train {model.name}',
                dict(
                    config=Config.fromfile(ROOT / model.config).to_dict(),
                    epochs=self.epochs(model),
                    seed=args.seed,
                    code=digest(CODE['train']),
                ),
                lambda show, model=model: self._train(model, show),
                needs=needs,
                resumable=True,
                outputs=[self.checkpoint(model)],
            )
            tests.append(
                Stage(
                    f'test-{model.key}',
                    f'Test {model.name}',
                    {},
                    lambda show, model=model: self._test(model, show),
                    needs=[trainings[model.key]],
                    outputs=[self.predictions(model)],
                )
            )
        return [data, *trainings.values(), *tests]

    def epochs(self, model: Model) -> int:
        """Epochs that a model is trained."""
        return self.args.teacher_epochs if model is TEACHER else self.args.epochs

    def checkpoint(self, model: Model) -> Path:
        """Weights of a model at the end of its training."""
        return self.out / model.key / f'epoch_{self.epochs(model)}.pth'

    def predictions(self, model: Model) -> Path:
        """Predictions of a model on the test images."""
        return self.out / f'test-{model.key}' / 'predictions.pkl'

    def _write_config(self, model: Model) -> Path:
        """Write the config that is trained: the shipped one with the demo's folders and length."""
        epochs = self.epochs(model)
        base = Config.fromfile(ROOT / model.config)
        root = f'{self.out / "data"}/'
        data = dict(dataset=dict(data_root=root))
        warm_up, cosine = (dict(scheduler) for scheduler in base.param_scheduler)
        cosine.update(end=epochs, T_max=epochs)
        settings: dict[str, Any] = dict(
            train_dataloader=data,
            test_dataloader=data,
            test_evaluator=dict(ann_file=root + 'val.json'),
            # the test at the end is enough
            val_dataloader=None,
            val_evaluator=None,
            val_cfg=None,
            train_cfg=dict(max_epochs=epochs),
            param_scheduler=[warm_up, cosine],
            default_hooks=dict(
                logger=dict(interval=5),
                # two, so that one is whole even if the other is cut short
                checkpoint=dict(interval=1, max_keep_ckpts=2, save_best=None),
            ),
            randomness=dict(seed=self.args.seed),
        )
        if model.teacher is not None:
            settings['model'] = dict(
                teacher=dict(
                    config=str(ROOT / TEACHER.config), checkpoint=str(self.checkpoint(TEACHER))
                )
            )
        lines = [f'"""{model.name} of the demo; written by tools/demo.py."""', '']
        lines.append(f'_base_ = {str(ROOT / model.config)!r}')
        lines += [f'{key} = {value!r}' for key, value in settings.items()]
        path = self.out / 'configs' / f'{model.key}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        return path

    def _draw(self, show: Show) -> None:
        args = self.args
        total = args.num_train + args.num_val
        pictures = f'.{self.data.name}.part-*/images/*'

        def progress() -> tuple[float, float, str]:
            done = sum(1 for _ in self.out.glob(pictures))
            return done, total, f'{done} of {total}' if done else 'starting'

        for rest in self.out.glob(f'.{self.data.name}.part-*'):  # of a run that was cut short
            shutil.rmtree(rest)
        run_program(
            tool_command(
                'tools/dataset_converters/make_synthetic_smears.py',
                *('--out', self.data, '--num-train', args.num_train, '--num-val', args.num_val),
                *('--seed', args.seed, '--missing', args.missing),
                *('--wrong-class', args.wrong_class),
                *(f'--{key}={value}' for key, value in SMEARS.items()),
                # a second process takes seconds to start
                *('--workers', min(2, os.cpu_count() or 1) if total > 200 else 1),
            ),
            self.out / 'data.log',
            progress,
            show,
        )

    def _train(self, model: Model, show: Show) -> None:
        folder = self.out / model.key
        resume = ['--resume'] if (folder / 'last_checkpoint').is_file() else []
        command = tool_command(
            'tools/train.py', self.configs[model.key], '--work-dir', folder, '--amp', *resume
        )
        log = folder / 'train.log'
        epochs = self.epochs(model)
        run_program(command, log, lambda: train_progress(log, epochs, bool(resume)), show)

    def _test(self, model: Model, show: Show) -> None:
        folder = self.out / f'test-{model.key}'
        log = folder / 'test.log'
        command = tool_command(
            'tools/test.py',
            self.configs[model.key],
            self.checkpoint(model),
            '--work-dir',
            folder,
            '--out',
            self.predictions(model),
        )
        run_program(command, log, lambda: test_progress(log), show)

    def report(self) -> tuple[Report, list[ModelResult]]:
        """Collect what the page shows."""
        truth = load_truth(self.data / 'val.json')
        models = []
        for model, training in zip(MODELS, self.stages[1:], strict=False):
            predictions = load_predictions(self.predictions(model))
            folder = self.out / model.key
            ran = folder / self.configs[model.key].name
            metrics = evaluate_detections(
                truth, predictions, score_thr=self.args.score_thr, num_resamples=1000
            )
            result = Run(
                metrics,
                predictions,
                self.args.seed,
                read_training_log(folder),
                ran.read_text(encoding='utf-8') if ran.is_file() else '',
                self.runner.state(training).get('seconds'),
            )
            models.append(ModelResult(model.name, model.role, [result]))
        args = self.args
        faults = count_faults(self.data / 'train_clean.json', self.data / 'train.json')
        missing, wrong = faults['Boxes left out'], faults['Boxes of a wrong class']
        report = Report(
            title='LD-WSCCD on synthetic Pap smears',
            truth=truth,
            image_dir=self.data / 'images',
            models=models[::-1],  # the teacher last
            baseline=SSD.name,
            teacher=TEACHER.name,
            intro=[
                'Every image on this page is drawn by a program, not photographed: the page shows '
                'that the system runs from end to end, and says nothing about real smears.',
                f'All models learn from the same {args.num_train} training images, whose labels '
                f'have faults put in on purpose ({missing} of the boxes are left out, {wrong} have '
                f'a wrong class). The labels of the {args.num_val} test images are the truth.',
            ],
            num_fields=args.num_fields,
            facts={
                'Data and label faults': {
                    'Training images': args.num_train,
                    'Test images': args.num_val,
                    'Image size': '256 x 256 px',
                    'Seed': args.seed,
                    **faults,
                    'Faults in the test labels': 'none',
                },
                'Environment': environment(),
            },
            stages=self.runner.times(),
            commands=self.shell_commands(),
        )
        return report, models

    def shell_commands(self) -> list[str]:
        """Write the commands that repeat the run one by one."""
        argv = ['python', 'tools/demo.py', *sys.argv[1:]] if __name__ == '__main__' else []
        commands = ['# all of it', shlex.join(argv) if argv else 'make demo', '# or step by step']
        args = self.args
        data = relative(self.data)
        commands.append(
            shlex.join(
                ['python', 'tools/dataset_converters/make_synthetic_smears.py', '--out', data]
                + f'--num-train {args.num_train} --num-val {args.num_val}'.split()
                + f'--seed {args.seed} --missing {args.missing}'.split()
                + f'--wrong-class {args.wrong_class}'.split()
                + [f'--{key}={value}' for key, value in SMEARS.items()]
            )
        )
        for model in MODELS:
            config = relative(self.configs[model.key])
            folder = relative(self.out / model.key)
            commands.append(
                shlex.join(['python', 'tools/train.py', config, '--work-dir', folder, '--amp'])
            )
        for model in MODELS:
            commands.append(
                shlex.join(
                    [
                        'python',
                        'tools/test.py',
                        relative(self.configs[model.key]),
                        relative(self.checkpoint(model)),
                        '--work-dir',
                        relative(self.predictions(model).parent),
                        '--out',
                        relative(self.predictions(model)),
                    ]
                )
            )
        return commands


def digest(paths: Sequence[str]) -> str:
    """Hash the Python files below some folders of the repository."""
    total = hashlib.sha256()
    for path in paths:
        for file in sorted((ROOT / path).rglob('*.py')):
            total.update(str(file.relative_to(ROOT)).encode() + b'\0' + file.read_bytes())
    return total.hexdigest()


def count_faults(clean: Path, faulty: Path) -> dict[str, str]:
    """Count how the training labels differ from the truth."""
    truth = {ann['id']: ann for ann in json.loads(clean.read_text())['annotations']}
    labels = {ann['id']: ann for ann in json.loads(faulty.read_text())['annotations']}
    wrong = sum(ann['category_id'] != truth[key]['category_id'] for key, ann in labels.items())
    total = max(len(truth), 1)
    missing = len(truth) - len(labels)
    return {
        'Training boxes, true': f'{len(truth)}',
        'Boxes left out': f'{missing} ({missing / total:.0%})',
        'Boxes of a wrong class': f'{wrong} ({wrong / max(len(labels), 1):.0%} of those kept)',
    }


def environment() -> dict[str, str]:
    """Name what the demo ran on."""
    import torch

    facts = {'Python': platform.python_version()}
    for package in ('torch', 'mmdet', 'mmengine', 'mmcv', 'ldwsccd_mmdet'):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = 'not installed as a package'
    facts['Device'] = (
        torch.cuda.get_device_name() if torch.cuda.is_available() else f'CPU: {cpu_name()}'
    )
    affinity = getattr(os, 'sched_getaffinity', None)  # Linux alone has it
    facts['CPU cores'] = str(len(affinity(0)) if affinity else os.cpu_count())
    return facts


def cpu_name() -> str:
    """Name the processor."""
    try:
        text = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
    return match[1] if match else platform.machine()


def relative(path: Path) -> str:
    """Write a path as seen from the repository's root, if it lies in it."""
    path = path.resolve()
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def write_picture(report: Report, model: ModelResult, path: Path) -> None:
    """Draw three fields, the truth above the detections of one model, below 300 kB.

    Args:
        report: Where truth and images come from.
        model: Whose detections.
        path: The PNG to write.
    """
    run = model.runs[0]
    classes = run.metrics.classes
    columns = []
    for image_id in choose_fields(report.truth, 3):
        with Image.open(report.image_dir / report.truth.imgs[image_id]['file_name']) as opened:
            image = np.asarray(opened.convert('RGB'))
        _, bboxes, labels = truth_boxes(report.truth, image_id)
        kept = run.predictions[image_id].above(run.metrics.pooled.score)
        drawn = [
            # names large enough to stay readable when the picture is made smaller below
            caption(draw_detections(image, *boxes, classes, scale=2, font_size=18), text)
            for boxes, text in (
                ((bboxes, labels, None), 'truth'),
                ((kept.bboxes, kept.labels, kept.scores), model.name),
            )
        ]
        columns.append(np.vstack(drawn))
    height = max(column.shape[0] for column in columns)
    padded = [
        np.pad(column, ((0, height - len(column)), (0, 8), (0, 0)), constant_values=255)
        for column in columns
    ]
    picture = Image.fromarray(np.hstack(padded)[:, :-8])
    path.parent.mkdir(parents=True, exist_ok=True)
    # the class colours are kept as they are, the rest shares what is left of 256 colours
    fixed = [0, 0, 0, 255, 255, 255, *class_palette(len(classes)).ravel().tolist()]
    for side in (1200, 1100, 1000, 900, 800):
        small = picture.copy()
        small.thumbnail((side, side))
        rest = small.quantize(128 - len(fixed) // 3).getpalette() or []
        palette = Image.new('P', (1, 1))
        palette.putpalette(fixed + rest)
        small.quantize(palette=palette, dither=Image.Dither.NONE).save(path, 'PNG', optimize=True)
        if path.stat().st_size < 300_000:
            break


def caption(image: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above an image."""
    strip = Image.new('RGB', (image.shape[1], 26), 'white')
    ImageDraw.Draw(strip).text((2, 13), text, fill='black', font=label_font(17), anchor='lm')
    return np.vstack([np.asarray(strip), image])


def fraction(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'expected a number from 0 to 1, found {text}')
    return value


def whole(text: str) -> int:
    """Read a whole number of 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'expected a whole number of 1 or more, found {text}')
    return value


def seed(text: str) -> int:
    """Read a whole number of 0 or more."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'expected a whole number of 0 or more, found {text}')
    return value


FULL = dict(out='work_dirs/demo', num_train=600, num_val=110, epochs=5, teacher_epochs=10)
QUICK = dict(out='work_dirs/demo_quick', num_train=22, num_val=11, epochs=1, teacher_epochs=1)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).split('\n')[0])
    add = parser.add_argument
    add('--out', metavar='DIR', help=f'folder of the demo (default: {FULL["out"]})')
    add('--quick', action='store_true', help='a tiny run that shows that all parts work')
    add('--seed', type=seed, default=0, help='seed of smears and trainings (default: 0)')
    add('--num-train', type=whole, help=f'training smears (default: {FULL["num_train"]})')
    add('--num-val', type=whole, help=f'test smears (default: {FULL["num_val"]})')
    add('--epochs', type=whole, help=f'of LD-WSCCD and SSD (default: {FULL["epochs"]})')
    add('--teacher-epochs', type=whole, help=f'(default: {FULL["teacher_epochs"]})')
    add(
        '--missing',
        type=fraction,
        default=0.1,
        metavar='FRACTION',
        help='of the training boxes that are left out (default: 0.1)',
    )
    add(
        '--wrong-class',
        type=fraction,
        default=0.05,
        metavar='FRACTION',
        help='of the training boxes that get a wrong class (default: 0.05)',
    )
    add('--num-fields', type=whole, default=6, help='smears shown on the page (default: 6)')
    add(
        '--score-thr',
        type=fraction,
        metavar='SCORE',
        help='least score of a detection shown (default: each model at its best F1)',
    )
    add('--picture', metavar='FILE.png', help='also draw three smears, truth above detections')
    args = parser.parse_args(argv)
    for key, value in (QUICK if args.quick else FULL).items():
        if getattr(args, key) is None:
            setattr(args, key, value)
    return args


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the demo.

    Returns:
        The exit code: 0, 1 where a stage failed, 130 where it was interrupted.
    """
    out = Path(args.out).resolve()
    with claim(out, 'demo'):
        demo = Demo(args)
        models: list[ModelResult] = []

        def write_page(_: Show) -> None:
            report, results = demo.report()
            models.extend(results)
            write_report(report, out / 'index.html')
            if args.picture:
                write_picture(report, models[MODELS.index(LDWSCCD)], Path(args.picture))

        code = run_stages(demo.runner, console, 'Write the page', write_page)
        if code:
            return code
    means = {model.name: model.runs[0].metrics.mean_ap for model in models}
    base = means[SSD.name]
    table = Table(title=f'AP50 on {args.num_val} synthetic smears, %')
    for heading in ('model', 'AP50', 'gain over SSD'):
        table.add_column(heading, justify='left' if heading == 'model' else 'right')
    for name, mean in means.items():
        gain = round(100 * (mean - base), 1) + 0.0
        table.add_row(name, f'{100 * mean:.1f}', '' if name == SSD.name else f'{gain:+.1f}')
    console.print(table)
    console.print(f'Page: {out / "index.html"}', markup=False, soft_wrap=True, highlight=False)
    return 0


def main() -> int:
    args = parse_args()
    for sign in (signal.SIGTERM, signal.SIGHUP):  # leave a state to go on from, and no program
        signal.signal(sign, signal.default_int_handler)
    try:
        return run(args, Console())
    except InputError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
