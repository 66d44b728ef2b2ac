"""Put a report together from what trainings and tests left on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pycocotools.coco import COCO

from ...errors import ConfigError, ResultsError
from ...evaluation.functional.matching import resolve_backend
from ...version import __version__
from .costs import read_costs
from .page import Report
from .sources import (
    Source,
    classes_of,
    find_images,
    find_teacher,
    find_truth,
    measure,
    test_command,
)
from .tables import ModelResult

__all__ = ['collect_report']

#: How is measured where nothing else is said; see ``evaluate_detections``.
SETTINGS: dict[str, Any] = dict(
    iou_thr=0.5,
    score_thr=None,
    ap_mode='coco',
    max_dets=100,
    rates=(1, 4, 16),
    num_resamples=1000,
    seed=0,
    backend='auto',
    targets=None,
)


def collect_report(
    sources: Sequence[Source],
    settings: Mapping[str, Any],
    ann: str | None = None,
    images: str | None = None,
    title: str | None = None,
    baseline: str | None = None,
    teacher: str | None = None,
    classes: Sequence[str] | None = None,
    speed: str | Path | None = None,
    num_fields: int = 4,
    num_errors: int = 6,
    command: str = '',
) -> Report:
    """Measure models, and put the report of them together.

    Args:
        sources: What trainings and tests left, as of :func:`parse_source`.
        settings: Arguments of :func:`~ldwsccd_mmdet.evaluation.evaluate_detections` that are not
            as in ``SETTINGS``.
        ann: COCO json; None: the one that the configs test on.
        images: Folder of the images; None: found.
        title: Title of the page.
        baseline: Model that gains are over; None: the first.
        teacher: The teacher among them; None: as the configs say.
        classes: The classes that count; None: those of the models, which must be the same in all.
        speed: CSV of what models cost, see :func:`read_costs`.
        num_fields: Images in the gallery.
        num_errors: Examples of each kind of error.
        command: The command that makes the page.

    Raises:
        ConfigError: Baseline or teacher is none of the models, or there are no annotations.
        ResultsError: Predictions do not belong to the annotations.
    """
    names = list(dict.fromkeys(source.name for source in sources))
    for key, name in (('baseline', baseline), ('teacher', teacher)):
        if name not in (None, *names):
            raise ConfigError(f"--{key} is '{name}', expected one of {', '.join(names)}")
    _check_tested(sources)
    settings = {**SETTINGS, **settings}
    truth, path = find_truth(sources, ann)
    image_dir = find_images(sources, truth, path, images)
    teacher = teacher or find_teacher(sources)
    costs = read_costs(speed) if speed is not None else None
    models = measure(sources, truth, teacher, classes, costs, **settings)
    if costs is not None and not any(model.cost for model in models):
        raise ConfigError(
            f'--speed: {speed} has none of the models ({", ".join(names)}), but '
            f'{", ".join(costs)}: name them alike, as in NAME=PATH'
        )
    if classes is not None:
        truth = classes_of(truth, classes)
    several = len(names) > 1
    return Report(
        title=title or f'Detectors on {path.parent.name}/{path.name}',
        truth=truth,
        image_dir=image_dir,
        models=models,
        baseline=baseline or (names[0] if several else None),
        teacher=teacher if several else None,
        intro=_intro(models, image_dir),
        num_fields=num_fields,
        num_errors=num_errors,
        facts={'Evaluation': _facts(settings, truth, path, models[0].runs[0].metrics.classes)},
        commands=['# this page', command, '# the models'],
    )


def _check_tested(sources: Sequence[Source]) -> None:
    """Raise where a training stands among models that have been tested."""
    for source in sources:
        if source.predictions is None and source.work_dir is not None:
            raise ResultsError(
                f"'{source.work_dir}' has no predictions (.pkl), but other models have: test it "
                f'first, with {test_command(source.work_dir, source.config_path)}'
            )


def _intro(models: Sequence[ModelResult], image_dir: Path | None) -> list[str]:
    """Say what is missing on the page, and why."""
    intro = []
    if image_dir is None:
        intro.append('The images were not found, so this page has no pictures (see --images).')
    if not any(len(p) for model in models for run in model.runs for p in run.predictions.values()):
        intro.append('No model has a single detection: was the right checkpoint tested?')
    return intro


def _facts(
    settings: Mapping[str, Any], truth: COCO, ann: Path, classes: Sequence[str]
) -> dict[str, object]:
    """Name what was evaluated, and how."""
    score_thr = settings['score_thr']
    return {
        'Annotations': ann,
        'Images': len(truth.imgs),
        'Annotated boxes': len(truth.anns),
        'Classes': ', '.join(classes),
        'An image is positive': f'with a cell of {", ".join(settings["targets"] or classes)}',
        'A hit': f'IoU {settings["iou_thr"]:g} or more with a truth of its class',
        'Average precision': 'COCO, 101 recalls'
        if settings['ap_mode'] == 'coco'
        else 'VOC, exact area',
        'Detections that count': f'{settings["max_dets"]} an image and class',
        'Operating point': 'highest F1' if score_thr is None else f'score {score_thr:g}',
        'Intervals': f'{settings["num_resamples"]} bootstrap samples of images, '
        f'seed {settings["seed"]}',
        'Backend': resolve_backend(settings['backend']),
        'ldwsccd_mmdet': __version__,
    }
