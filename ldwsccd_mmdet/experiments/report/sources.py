"""Collect what trainings and tests left on disk, for a report."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from pycocotools.coco import COCO

from ...datasets.coco_json import index_truth, label_names, load_truth
from ...datasets.plain_dataset import innermost
from ...engine.config_file import load_config
from ...engine.received_config import read_config_file
from ...errors import ConfigError, DatasetError, ResultsError
from ...evaluation import (
    Detections,
    evaluate_detections,
    load_coco_results,
    load_predictions,
)
from ...evaluation.predictions import load_image_paths
from .costs import Cost
from .tables import ModelResult, Run
from .training_curves import read_training_log

__all__ = [
    'Source',
    'classes_of',
    'find_images',
    'find_teacher',
    'find_truth',
    'measure',
    'parse_source',
    'test_command',
    'training_source',
]

ROOT = Path(__file__).resolve().parents[3]
_STAMP = re.compile(r'^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - mmengine', re.MULTILINE)
_PLAIN_NAMES = ('predictions', 'results')  # of files that say nothing of the model
_FACTS = ('Python', 'PyTorch', 'MMEngine', 'OpenCV', 'CUDA available', 'GPU 0', 'GPU number')


@dataclass
class Source:
    """What one argument of ``ldwsccd report`` names.

    Attributes:
        name: Name of the model.
        predictions: File of ``ldwsccd test --out``, or COCO's results json of any tool; None: a
            training that has not been tested yet.
        work_dir: Work directory of the training, if known.
        config_path: The config dumped in it, if there is one.
        config: That config.
    """

    name: str
    predictions: Path | None
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

    A path is a work directory, a file of predictions, or one of each. Predictions are a ``.pkl`` of
    ``ldwsccd test --out``, or COCO's results json, which most tools write.

    Args:
        text: The argument.
        trust_configs: Run the config that lies in the work directory, as mmengine does, instead of
            reading its literals. A directory from elsewhere could run code by it.

    Raises:
        ConfigError: The config that lies there is more than literals, and not trusted.
        ResultsError: Predictions are missing, or it is open which are meant.
    """
    name, parts = _name_and_paths(text)
    folder: Path | None = None
    predictions: Path | None = None
    for part in parts:
        if part.is_dir():
            folder = part
        elif part.suffix in ('.pkl', '.json'):
            predictions = part
        else:
            raise ResultsError(
                f"'{part}' is neither a work directory nor a .pkl of ldwsccd test --out, nor a "
                ".json of COCO's results: check the path"
            )
    config_path = _find_config(folder) if folder is not None else None
    if predictions is None:
        assert folder is not None
        predictions = _find_predictions(folder, config_path)
    stem = (config_path or predictions or Path()).stem
    if config_path is None and predictions is not None and stem in _PLAIN_NAMES:
        stem = predictions.resolve().parent.name
    config = None
    if config_path is not None:
        read = load_config if trust_configs else read_config_file
        config = read(str(config_path))
    return Source(name or stem, predictions, folder, config_path, config)


def _name_and_paths(text: str) -> tuple[str, list[Path]]:
    """Part ``[NAME=]PATH[,PATH]``; a path that is there may itself have ``=`` and commas."""
    starts = [0, *(place + 1 for place, letter in enumerate(text) if letter == '=')]
    for start in starts:
        paths = text[start:]
        commas = [place for place, letter in enumerate(paths) if letter == ',']
        ways = [[paths], *([paths[:place], paths[place + 1 :]] for place in commas)]
        for way in ways:
            if all(part and Path(part).exists() for part in way):
                return text[: max(start - 1, 0)], [Path(part) for part in way]
    name, _, paths = text.rpartition('=')
    return name, [Path(part) for part in paths.split(',')]


def training_source(folder: str | Path) -> Source:
    """Name the training of a work directory, whether it has been tested or not."""
    folder = Path(folder)
    config_path = _find_config(folder)
    config = load_config(str(config_path)) if config_path is not None else None
    name = folder.resolve().name if config_path is None else config_path.stem
    return Source(name, None, folder, config_path, config)


def _find_config(folder: Path) -> Path | None:
    """Find the config that mmengine dumped into a work directory: the newest ``.py``."""
    found = sorted(folder.glob('*.py'), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _find_predictions(folder: Path, config_path: Path | None) -> Path | None:
    """Find the predictions in a work directory; None where a training has left only its log."""
    found = sorted(folder.glob('*.pkl'))
    if not found:  # as `ldwsccd predict`, Ultralytics and others call them
        found = [folder / f'{name}.json' for name in _PLAIN_NAMES]
        found = [path for path in found if path.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ResultsError(
            f"'{folder}' has {len(found)} files of predictions "
            f'({", ".join(path.name for path in found)}): say which, as in '
            f'{folder},{found[0]}'
        )
    if config_path is not None and any(folder.glob('*/vis_data/scalars.json')):
        return None
    raise ResultsError(
        f"'{folder}' has no predictions (.pkl): test first, with "
        f'{test_command(folder, config_path)}, or name the file, as in {folder},FILE.pkl'
    )


def test_command(folder: Path, config_path: Path | None) -> str:
    """Write the command that tests the newest checkpoint of a work directory."""
    checkpoints = sorted(folder.glob('epoch_*.pth'), key=lambda path: path.stat().st_mtime)
    command = ['ldwsccd', 'test', str(config_path or 'CONFIG')]
    command += [str(checkpoints[-1] if checkpoints else 'CHECKPOINT')]
    return shlex.join([*command, '--out', str(folder / 'predictions.pkl')])


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
    pickled = [s.predictions for s in sources if s.predictions and s.predictions.suffix == '.pkl']
    paths = load_image_paths(pickled[0]) if pickled else {}
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
    sources: Sequence[Source],
    truth: COCO,
    teacher: str | None = None,
    classes: Sequence[str] | None = None,
    costs: Mapping[str, Cost] | None = None,
    **settings: Any,
) -> list[ModelResult]:
    """Measure all models; sources of one name are runs of one model.

    Args:
        sources: What to measure.
        truth: The annotated set.
        teacher: Name of the teacher, for its role.
        classes: The classes that count, of which each model may know more; None: those of the
            models, which must be the same in all.
        costs: What models cost, by their name or that of their config.
        **settings: For :func:`~ldwsccd_mmdet.evaluation.evaluate_detections`.

    Raises:
        ResultsError: Predictions do not belong to the annotations, or to the classes.
    """
    own = [_classes(source, truth) for source in sources]
    chosen = tuple(own[0] if classes is None else classes)
    _check_classes(sources, own, chosen, classes is not None)
    runs: dict[str, list[Run]] = {}
    roles: dict[str, str] = {}
    cost: dict[str, Cost | None] = {}
    for source, names in zip(sources, own, strict=True):
        try:
            predictions = _relabel(_load(source, truth), names, chosen)
            metrics = evaluate_detections(truth, predictions, chosen, **settings)
        except ResultsError as error:
            raise ResultsError(f'{source.name}, {source.predictions}: {error}') from error
        runs.setdefault(source.name, []).append(_run(source, predictions, metrics))
        roles.setdefault(source.name, _role(source, teacher))
        stem = source.config_path.stem if source.config_path is not None else source.name
        cost.setdefault(source.name, (costs or {}).get(source.name, (costs or {}).get(stem)))
    return [ModelResult(name, roles[name], runs[name], cost[name]) for name in runs]


def _load(source: Source, truth: COCO) -> dict[int, Detections]:
    """Read the predictions of either form; labels index the classes of the source."""
    assert source.predictions is not None
    if source.predictions.suffix == '.pkl':
        return load_predictions(source.predictions)
    found = load_coco_results(source.predictions, truth)
    in_file = [category['name'] for category in truth.dataset['categories']]
    return _relabel(found, in_file, _classes(source, truth))


def _check_classes(
    sources: Sequence[Source], own: Sequence[Sequence[str]], chosen: Sequence[str], asked: bool
) -> None:
    """Raise where the models do not know the classes that are compared."""
    for source, names in zip(sources, own, strict=True):
        lost = [name for name in chosen if name not in names]
        if asked and lost:
            raise ResultsError(
                f'--classes: {", ".join(lost)} is none of the classes of {source.name} '
                f'({", ".join(names)}): name some that all models have'
            )
        if set(names) != set(chosen):
            if asked:
                continue
            listed = '; '.join(', '.join(of) for of in dict.fromkeys(map(tuple, own)))
            raise ResultsError(
                f'the models have different classes: {listed}; compare them one by one, or on the '
                'classes that they share, with --classes'
            )


def _relabel(
    predictions: Mapping[int, Detections], old: Sequence[str], new: Sequence[str]
) -> dict[int, Detections]:
    """Turn labels that index ``old`` into those of ``new``; detections of other classes go."""
    if list(old) == list(new):
        return dict(predictions)
    place = np.array([new.index(name) if name in new else -1 for name in old])
    relabelled = {}
    for image_id, found in predictions.items():
        if len(found) and not 0 <= found.labels.min() <= found.labels.max() < len(old):
            raise ResultsError(
                f'predictions have class indices {found.labels.min()} to {found.labels.max()}, but '
                f'there are {len(old)} classes ({", ".join(old)})'
            )
        labels = place[found.labels]
        kept = labels >= 0
        relabelled[image_id] = Detections(found.bboxes[kept], found.scores[kept], labels[kept])
    return relabelled


def _classes(source: Source, truth: COCO) -> list[str]:
    """Return the classes that labels index: the config's, else the annotation file's, in order."""
    if source.config is not None:
        chosen = (_test_dataset(source.config).get('metainfo') or {}).get('classes')
        if chosen and not isinstance(chosen, str):
            try:
                return label_names(truth, chosen)
            except ResultsError as error:
                raise ResultsError(f'{source.name}, {source.predictions}: {error}') from error
    return [category['name'] for category in truth.dataset['categories']]


def classes_of(truth: COCO, classes: Sequence[str]) -> COCO:
    """Leave the annotations of other classes out, for pictures of the chosen ones.

    Args:
        truth: The annotated set; it is not changed.
        classes: Names of its classes.
    """
    kept = [c for c in truth.dataset['categories'] if c['name'] in classes]
    ids = {category['id'] for category in kept}
    boxes = [a for a in truth.dataset['annotations'] if a['category_id'] in ids]
    return index_truth({**truth.dataset, 'categories': kept, 'annotations': boxes}, 'the truth')


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
