"""Collect what trainings and tests left on disk, for a report."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mmengine.config import Config
from pycocotools.coco import COCO

from ...datasets.coco_json import label_names, load_truth
from ...datasets.plain_dataset import innermost
from ...engine.config_file import load_config
from ...engine.received_config import read_config_file
from ...errors import ConfigError, DatasetError, ResultsError
from ...evaluation import Detections, evaluate_detections, load_predictions
from ...evaluation.predictions import load_image_paths
from .tables import ModelResult, Run
from .training_curves import read_training_log

__all__ = [
    'Source',
    'find_images',
    'find_teacher',
    'find_truth',
    'measure',
    'parse_source',
]

ROOT = Path(__file__).resolve().parents[3]
_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - mmengine', re.MULTILINE)
_FACTS = ('Python', 'PyTorch', 'MMEngine', 'OpenCV', 'CUDA available', 'GPU 0', 'GPU number')


@dataclass
class Source:
    """What one argument of ``ldwsccd report`` names.

    Attributes:
        name: Name of the model.
        predictions: File of ``ldwsccd test --out``.
        work_dir: Work directory of the training, if known.
        config_path: The config dumped in it, if there is one.
        config: That config.
    """

    name: str
    predictions: Path
    work_dir: Path | None = None
    config_path: Path | None = None
    config: Config | None = field(default=None, repr=False)

    @property
    def seed(self) -> int | None:
        """Seed of the training, if known."""
        seed = (self.config or {}).get('randomness', {}).get('seed')
        return None if seed is None else int(seed)


def parse_source(text: str, trust_configs: bool = False) -> Source:
    """Read one argument: ``[NAME=]PATH[,PATH]``.

    A path is a work directory, a file of predictions (``.pkl``), or one of each.

    Args:
        text: The argument.
        trust_configs: Run the config that lies in the work directory, as mmengine does, instead of
            reading its literals. A directory from elsewhere could run code by it.

    Raises:
        ConfigError: The config that lies there is more than literals, and not trusted.
        ResultsError: Predictions are missing, or it is open which are meant.
    """
    name, _, paths = text.rpartition('=')
    folder: Path | None = None
    predictions: Path | None = None
    for part in map(Path, paths.split(',')):
        if part.is_dir():
            folder = part
        elif part.suffix == '.pkl':
            predictions = part
        else:
            raise ResultsError(
                f"'{part}' is neither a work directory nor a .pkl of ldwsccd test --out: check "
                'the path'
            )
    config_path = _find_config(folder) if folder is not None else None
    if predictions is None:
        assert folder is not None
        predictions = _find_predictions(folder, config_path)
    stem = (config_path or predictions).stem
    if config_path is None and stem == 'predictions':
        stem = predictions.resolve().parent.name
    config = None
    if config_path is not None:
        read = load_config if trust_configs else read_config_file
        config = read(str(config_path))
    return Source(name or stem, predictions, folder, config_path, config)


def _find_config(folder: Path) -> Path | None:
    """Find the config that mmengine dumped into a work directory: the newest ``.py``."""
    found = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _find_predictions(folder: Path, config_path: Path | None) -> Path:
    """Find the predictions in a work directory."""
    found = sorted(folder.glob('*.pkl'))
    if len(found) == 1:
        return found[0]
    if found:
        raise ResultsError(
            f"'{folder}' has {len(found)} files of predictions "
            f'({", ".join(path.name for path in found)}): say which, as in '
            f'{folder},{found[0]}'
        )
    checkpoints = sorted(folder.glob('epoch_*.pth'), key=lambda path: path.stat().st_mtime)
    command = ['ldwsccd', 'test', str(config_path or 'CONFIG')]
    command += [str(checkpoints[-1] if checkpoints else 'CHECKPOINT')]
    command += ['--out', str(folder / 'predictions.pkl')]
    raise ResultsError(
        f"'{folder}' has no predictions (.pkl): test first, with {shlex.join(command)}, or name "
        f'the file, as in {folder},FILE.pkl'
    )


def _test_dataset(config: Config) -> Mapping[str, Any]:
    """Return the settings of the set that a config tests on."""
    return innermost((config.get('test_dataloader') or {}).get('dataset', {}))


def _existing_path(path: str) -> Path:
    """Find a path of a config: as it is, or beside the repository."""
    plain = Path(path)
    beside = ROOT / path
    return beside if not plain.exists() and beside.exists() else plain


def find_truth(sources: Sequence[Source], ann: str | None = None) -> tuple[COCO, Path]:
    """Read the annotations: those given, or those that the configs test on.

    Args:
        sources: The models.
        ann: COCO json, or None.

    Raises:
        ConfigError: None is named, or the configs test on different ones.
        DatasetError: The file cannot be used.
    """
    if ann is not None:
        return load_truth(ann), Path(ann)
    named: dict[Path, str] = {}
    for source in sources:
        dataset = _test_dataset(source.config) if source.config is not None else {}
        if dataset.get('ann_file'):
            path = _existing_path(str(Path(dataset.get('data_root') or '') / dataset['ann_file']))
            named.setdefault(path.resolve(), source.name)
    if not named:
        raise ConfigError(
            'no annotation file is known: name it with --ann, or give work directories that hold '
            'their config'
        )
    if len(named) > 1:
        listed = ', '.join(f'{path} ({name})' for path, name in named.items())
        raise ConfigError(
            f'the models were tested on different annotation files: {listed}; compare models of '
            'one set, or name it with --ann'
        )
    path = next(iter(named))
    return load_truth(path), path


def find_images(
    sources: Sequence[Source], truth: COCO, ann: Path, images: str | None = None
) -> Path | None:
    """Find the folder of the images: the one given, or the first that holds them.

    Looked for in the configs, beside the annotation file, and where the test read them.

    Raises:
        DatasetError: The folder given has not the images.
    """
    names = [image.get('file_name', '') for image in truth.dataset['images'][:3]]

    def holds(folder: Path) -> bool:
        return all(name and (folder / name).is_file() for name in names)

    if images is not None:
        if not holds(Path(images)):
            raise DatasetError(f"--images: '{images}' has not the images {', '.join(names)}, ...")
        return Path(images)
    candidates = []
    for source in sources:
        if source.config is not None:
            dataset = _test_dataset(source.config)
            prefix = (dataset.get('data_prefix') or {}).get('img', '')
            candidates.append(_existing_path(str(Path(dataset.get('data_root') or '') / prefix)))
    candidates += [ann.parent / 'images', ann.parent]
    paths = load_image_paths(sources[0].predictions)
    first = truth.dataset['images'][0]
    if first['id'] in paths and paths[first['id']].endswith(names[0]):
        candidates.append(_existing_path(paths[first['id']][: -len(names[0])] or '.'))
    return next((folder for folder in candidates if holds(folder)), None)


def find_teacher(sources: Sequence[Source]) -> str | None:
    """Find the model that others were taught by: the one whose config or folder they name."""
    for source in sources:
        teacher = (source.config or {}).get('model', {}).get('teacher')
        if not teacher:
            continue
        config = teacher.get('config')
        stem = Path(config).stem if isinstance(config, str) else ''
        folder = Path(teacher.get('checkpoint') or '').parent
        for other in sources:
            folders = {path.resolve() for path in (folder, other.work_dir) if path is not None}
            same_config = other.config_path is not None and other.config_path.stem == stem
            if other is not source and (same_config or (other.work_dir and len(folders) == 1)):
                return other.name
    return None


def measure(
    sources: Sequence[Source], truth: COCO, teacher: str | None = None, **settings: Any
) -> list[ModelResult]:
    """Measure all models; sources of one name are runs of one model.

    Args:
        sources: What to measure.
        truth: The annotated set.
        teacher: Name of the teacher, for its role.
        **settings: For :func:`~ldwsccd_mmdet.evaluation.evaluate_detections`.

    Raises:
        ResultsError: Predictions do not belong to the annotations.
    """
    runs: dict[str, list[Run]] = {}
    roles: dict[str, str] = {}
    for source in sources:
        predictions = load_predictions(source.predictions)
        try:
            metrics = evaluate_detections(truth, predictions, _classes(source, truth), **settings)
        except ResultsError as error:
            raise ResultsError(f'{source.name}, {source.predictions}: {error}') from error
        runs.setdefault(source.name, []).append(_run(source, predictions, metrics))
        roles.setdefault(source.name, _role(source, teacher))
    models = [ModelResult(name, roles[name], runs[name]) for name in runs]
    classes = {model.runs[0].metrics.classes for model in models}
    if len(classes) > 1:
        listed = '; '.join(', '.join(names) for names in classes)
        raise ResultsError(f'the models have different classes: {listed}; compare them one by one')
    return models


def _classes(source: Source, truth: COCO) -> list[str] | None:
    """Return the classes that labels index: the config's, in the order of the file, as in mmdet."""
    if source.config is None:
        return None
    chosen = (_test_dataset(source.config).get('metainfo') or {}).get('classes')
    if not chosen or isinstance(chosen, str):
        return None
    return label_names(truth, chosen)


def _role(source: Source, teacher: str | None) -> str:
    """Say in a few words what a model is."""
    if source.name == teacher:
        return 'teacher'
    model = (source.config or {}).get('model', {})
    parts = [
        text
        for key, text in (('teacher', 'local distillation'), ('mil_head', 'MIL refinement'))
        if model.get(key)
    ]
    # our detectors say what they are by their parts, mmdet's by their type
    kind = '' if model.get('type', '').startswith('LDWSCCD') else model.get('type', '')
    head = ', '.join(filter(None, [kind, model.get('backbone', {}).get('type', '')]))
    return ' + '.join([head, *parts]) if head else ''


def _run(source: Source, predictions: dict[int, Detections], metrics: Any) -> Run:
    """Put together all that is known of one training."""
    folder = source.work_dir
    logs = sorted(folder.glob('*/*.log')) if folder is not None else []
    texts = [path.read_text(encoding='utf-8', errors='replace') for path in logs]
    trainings = [text for text in texts if 'Epoch(train)' in text or 'Iter(train)' in text]
    return Run(
        metrics,
        predictions,
        source.seed,
        read_training_log(folder) if folder is not None else (),
        source.config.pretty_text if source.config is not None else '',
        _seconds(trainings),
        _facts(trainings[-1]) if trainings else {},
        _commands(source),
    )


def _seconds(logs: Sequence[str]) -> float | None:
    """Add up the time from first to last line of the logs."""
    total = 0.0
    for text in logs:
        stamps = _STAMP.findall(text)
        start, end = (datetime.strptime(s, '%Y/%m/%d %H:%M:%S') for s in (stamps[0], stamps[-1]))
        total += (end - start).total_seconds()
    return total if logs else None


def _facts(log: str) -> dict[str, str]:
    """Read the environment from the head of mmengine's log."""
    head = log[: log.find(' - Config:') + 1 or 20_000]
    facts = {}
    for key in _FACTS:
        match = re.search(rf'^\s+{key}: (.+)$', head, re.MULTILINE)
        if match:
            facts[key] = match[1].split(' (')[0].strip()
    return facts


def _commands(source: Source) -> list[str]:
    """Write the commands that train and test a model again, as far as the work directory tells."""
    if source.config is None or source.config_path is None or source.work_dir is None:
        return [f'# {source.name}: predictions only, {source.predictions}']
    wrapper = source.config.get('optim_wrapper', {}).get('type', '')
    # the dumped config says where and how it ran
    train = ['ldwsccd', 'train', str(source.config_path), '--work-dir', str(source.work_dir)]
    train += ['--amp'] * ('Amp' in wrapper)
    epochs = source.config.get('train_cfg', {}).get('max_epochs')
    checkpoint = source.work_dir / f'epoch_{epochs}.pth'
    test = ['ldwsccd', 'test', str(source.config_path), str(checkpoint)]
    test += ['--out', str(source.predictions)]
    return [shlex.join(train), shlex.join(test)]
