"""How long evaluation and data checks take, and how that grows with what they are given.

    python benchmarks/evaluation_scale.py --full    # the sizes of the Comparison Detector set

writes results/speed_evaluation.csv, and a plot of each growth to docs/images/growth_*.png. Without
--full the largest sizes are an eighth of these; --quick tries the script.

Each task runs on four sizes, each twice as large as the one before, in a process of its own
(forked: libraries are imported once):

- metric: `CytologyMetric` with a bootstrap of 1,000, on drawn boxes of 11 classes with 100
  detections an image, over images, over detections an image, and over classes;
- pycocotools: its matching, AP and summary of the same detections, nothing else;
- report: `ldwsccd report` of several models on 744 images, without pictures;
- doctor: `ldwsccd doctor` on JPEGs of 512 pixels;
- compose: scenes of `ldwsccd compose`, from drawn crops;
- mil: a forward and backward pass of the narrow MIL head on two images, over their regions.

`seconds` is wall time without the making of the inputs; `extra_mib` is the peak of resident memory
over what the inputs take. The slopes are those of a straight line through the logarithms of all
sizes of a task: 1 where it grows in proportion, below 1 where a fixed share is in it.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from turns import conditions

from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.datasets.coco_json import index_truth
from ldwsccd_mmdet.evaluation import CytologyMetric
from ldwsccd_mmdet.experiments.report import collect_report, parse_source, write_report
from ldwsccd_mmdet.preparation.checks.examine import examine, read_split
from ldwsccd_mmdet.preparation.composed import write_composed_dataset

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_evaluation.csv'
PLOTS = ROOT / 'docs' / 'images'
SIDE = 512  # of an image, pixels
STEPS = 4  # sizes of a task, each twice the one before
Run = Callable[[], Any]


# ---------------------------------------------------------------- inputs


def draw_set(images: int, detections: int, classes: int) -> tuple[dict, list[np.ndarray]]:
    """A COCO content with a tenth as many cells as detections, and detections (n, 6) an image.

    A detection in three lies about a cell, with its class; columns are x1, y1, x2, y2, score,
    label.
    """
    rng = np.random.default_rng(0)
    cells = max(detections // 10, 1)
    corner = rng.uniform(0, SIDE - 80, (images, cells, 2))
    truth = np.concatenate([corner, rng.uniform(20, 80, (images, cells, 2))], axis=2)
    label = rng.integers(0, classes, (images, cells))
    annotations = [
        dict(id=i * cells + j + 1, image_id=i + 1, category_id=int(label[i, j]) + 1, iscrowd=0)
        | dict(bbox=truth[i, j].tolist(), area=float(truth[i, j, 2:].prod()))
        for i in range(images)
        for j in range(cells)
    ]
    content = dict(
        images=[
            dict(id=i + 1, file_name=f'{i:05d}.jpg', width=SIDE, height=SIDE) for i in range(images)
        ],
        annotations=annotations,
        categories=[dict(id=c + 1, name=f'class {c}') for c in range(classes)],
    )
    found = []
    for i in range(images):
        own = rng.integers(0, cells, detections)
        box = truth[i, own] + rng.normal(0, 4, (detections, 4))
        wrong = np.arange(detections) % 3 > 0
        box[wrong, :2] = rng.uniform(0, SIDE - 80, (int(wrong.sum()), 2))
        box[:, 2:] = box[:, :2] + box[:, 2:].clip(5)
        score = rng.uniform(0, 1, detections) * np.where(wrong, 0.7, 1)
        kind = np.where(wrong, rng.integers(0, classes, detections), label[i, own])
        found.append(np.column_stack([box, score, kind]))
    return content, found


def coco_results(found: list[np.ndarray]) -> list[dict[str, Any]]:
    """Detections as COCO's results json has them."""
    return [
        dict(
            image_id=i + 1,
            category_id=int(row[5]) + 1,
            bbox=[row[0], row[1], row[2] - row[0], row[3] - row[1]],
            score=row[4],
        )
        for i, rows in enumerate(found)
        for row in rows.tolist()
    ]


def smooth_picture(rng: np.random.Generator, side: int) -> np.ndarray:
    """A picture like no other one."""
    small = rng.integers(0, 256, (16, 16, 3), np.uint8)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)


# ---------------------------------------------------------------- tasks


def metric(folder: Path, images: int, detections: int, classes: int, resamples: int) -> Run:
    content, found = draw_set(images, detections, classes)
    measure = CytologyMetric(num_resamples=resamples)
    measure.truth = index_truth(content, 'drawn boxes')
    measure.dataset_meta = dict(classes=[c['name'] for c in content['categories']])
    results = [
        (i + 1, (rows[:, :4], rows[:, 4], rows[:, 5].astype(int)), None)
        for i, rows in enumerate(found)
    ]
    return lambda: measure.compute_metrics(results)


def pycocotools(folder: Path, images: int, detections: int, classes: int, resamples: int) -> Run:
    content, found = draw_set(images, detections, classes)
    truth = COCO()
    truth.dataset = content
    truth.createIndex()
    results = coco_results(found)

    def run() -> None:
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()

    return run


def report(folder: Path, images: int, detections: int, models: int, resamples: int) -> Run:
    content, found = draw_set(images, detections, 11)
    (folder / 'truth.json').write_text(json.dumps(content))
    sources = []
    for number in range(models):
        for rows in found:
            rows[:, 4] *= 0.99
        path = folder / f'model_{number}.json'
        path.write_text(json.dumps(coco_results(found)))
        sources.append(parse_source(f'model {number}={path}'))
    ann = str(folder / 'truth.json')

    def run() -> None:
        page = collect_report(sources, dict(num_resamples=resamples), ann=ann)
        write_report(page, folder / 'report.html')

    return run


def doctor(folder: Path, images: int) -> Run:
    content, _ = draw_set(images, 100, 11)
    (folder / 'images').mkdir()
    rng = np.random.default_rng(0)
    for image in content['images']:
        cv2.imwrite(str(folder / 'images' / image['file_name']), smooth_picture(rng, SIDE))
    (folder / 'train.json').write_text(json.dumps(content))
    return lambda: examine(read_split(folder / 'train.json'), workers=os.cpu_count() or 1)


def compose(folder: Path, scenes: int) -> Run:
    rng = np.random.default_rng(0)
    classes = [f'class {number}' for number in range(11)]
    for name in classes:
        (folder / 'crops' / name).mkdir(parents=True)
        for number in range(8):
            picture = np.full((64, 64, 3), (236, 240, 238), np.uint8)
            colour = rng.integers(90, 160, 3).tolist()
            cv2.ellipse(picture, (32, 32), (21, 13), rng.uniform(0, 180), 0, 360, colour, -1)
            for x, y in rng.integers(22, 42, (3, 2)).tolist():  # no two cells are alike
                cv2.circle(picture, (x, y), 5, rng.integers(60, 120, 3).tolist(), -1)
            cv2.circle(picture, (32, 32), 6, (90, 40, 60), -1)
            cv2.imwrite(str(folder / 'crops' / name / f'{number}.png'), picture)
    return lambda: write_composed_dataset(folder / 'crops', folder / 'out', classes, scenes, 0)


def mil(folder: Path, regions: int, images: int = 2) -> Run:
    torch.manual_seed(0)
    config = Config.fromfile(ROOT / 'configs' / 'ldwsccd' / 'ldwsccd_ssd512-narrow_cric.py')
    head = MODELS.build(config.model.mil_head)
    channels = config.model.mil_head.bbox_roi_extractor.out_channels
    maps = torch.randn(images, channels, SIDE // 8, SIDE // 8, requires_grad=True)
    corner = torch.rand(images, regions, 2) * (SIDE - 80)
    boxes = list(torch.cat([corner, corner + 20 + 60 * torch.rand(images, regions, 2)], dim=2))
    labels = torch.ones(images, head.num_classes)
    return lambda: sum(head.loss((maps,), boxes, labels).values()).backward()


@dataclass(frozen=True)
class Task:
    """A task that grows along one axis.

    Attributes:
        run: Makes the inputs, and gives what is timed.
        axis: Its argument that grows.
        largest: The largest size with --full, without it, and with --quick.
        fixed: Its other arguments, for these three.
        goal: Seconds, at most, at the largest size with --full.
    """

    run: Callable[..., Run]
    axis: str
    largest: tuple[int, int, int]
    fixed: tuple[dict[str, int], ...] = ({}, {}, {})
    goal: float | None = None


def fixed(resamples: bool = True, **sizes: tuple[int, int, int]) -> tuple[dict[str, int], ...]:
    """Arguments for --full, neither and --quick."""
    sizes['resamples'] = (1000, 1000, 20)
    return tuple({name: values[i] for name, values in sizes.items()} for i in range(3))


IMAGES, BOXES, CLASSES = (7410, 926, 16), (100, 100, 20), (11, 11, 3)
FEW = (744, 93, 8)
BY_IMAGES = fixed(detections=BOXES, classes=CLASSES)
TASKS = {
    'metric by images': Task(metric, 'images', IMAGES, BY_IMAGES),
    'pycocotools by images': Task(pycocotools, 'images', IMAGES, BY_IMAGES),
    'metric by boxes': Task(
        metric, 'detections', (400, 400, 40), fixed(images=FEW, classes=CLASSES)
    ),
    'metric by classes': Task(metric, 'classes', (88, 88, 16), fixed(images=FEW, detections=BOXES)),
    'report by models': Task(
        report, 'models', (13, 8, 8), fixed(images=FEW, detections=BOXES), goal=120
    ),
    'doctor by images': Task(doctor, 'images', (7410, 926, 32), goal=120),
    'compose by scenes': Task(compose, 'scenes', (1000, 125, 16), goal=60),
    'MIL head by regions': Task(mil, 'regions', (2000, 2000, 64)),
}


# ---------------------------------------------------------------- measuring


def memory_mib(key: str) -> float:
    """Resident memory of this process: VmRSS now, VmHWM at its peak (Linux)."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def measure(name: str, arguments: dict[str, int], threads: int) -> dict[str, float]:
    """Run a task once; in a process of its own."""
    register_all_modules()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        run = TASKS[name].run(Path(folder), **arguments)
        with contextlib.suppress(OSError):
            Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
        before, start, cpu = memory_mib('VmRSS'), time.perf_counter(), time.process_time()
        run()
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    extra = max(memory_mib('VmHWM') - before, 0.0)
    return dict(seconds=round(seconds, 3), cpu_s=round(cpu, 3), extra_mib=round(extra, 1))


def sizes_of(largest: int) -> list[int]:
    """The sizes of a task, the largest last."""
    return [max(largest >> shift, 1) for shift in range(STEPS - 1, -1, -1)]


def slope(sizes: list[int], values: list[float]) -> float:
    """Slope of the line through the logarithms; 0 where a value is 0."""
    if min(values) <= 0:
        return 0.0
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def rows_of(name: str, mode: int, threads: int) -> Iterator[dict[str, Any]]:
    """Measure a task on all its sizes."""
    task = TASKS[name]
    context = multiprocessing.get_context('fork')
    rows = []
    sizes = sizes_of(task.largest[mode])
    for size in sizes:
        arguments = {**task.fixed[mode], task.axis: size}
        with ProcessPoolExecutor(1, mp_context=context) as process:
            found = process.submit(measure, name, arguments, threads).result()
        rows.append(dict(task=name, axis=task.axis, size=size, **found))
    goal = task.goal if mode == 0 and task.goal else ''
    for row in rows:
        yield row | dict(
            goal_s=goal if row is rows[-1] else '',
            slope_seconds=round(slope(sizes, [r['seconds'] for r in rows]), 2),
            slope_memory=round(slope(sizes, [r['extra_mib'] for r in rows]), 2),
            **{key: value for key, value in task.fixed[mode].items() if key == 'resamples'},
        )


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw seconds and memory of one task over its sizes, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.6), layout='constrained')
    sizes = [row['size'] for row in rows]
    for axes, key, kind, label in zip(
        figure.subplots(1, 2),
        ('seconds', 'extra_mib'),
        ('slope_seconds', 'slope_memory'),
        ('seconds', 'memory, MiB'),
        strict=True,
    ):
        values = [row[key] for row in rows]
        axes.loglog(sizes, values, 'o-', color='#1f4e79')
        axes.loglog(
            sizes, [values[-1] * s / sizes[-1] for s in sizes], ':', color='0.6', label='slope 1'
        )
        axes.set(xlabel=rows[0]['axis'], ylabel=label, title=f'slope {rows[0][kind]:.2f}')
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.legend(frameon=False)
    figure.suptitle(rows[0]['task'])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the metric's time over that of pycocotools on the same images."""
    alone = {r['size']: r['seconds'] for r in rows if r['task'] == 'pycocotools by images'}
    out = []
    for row in rows:
        known = row['task'] == 'metric by images' and row['size'] in alone
        ratio = round(row['seconds'] / alone[row['size']], 3) if known else ''
        out.append({**row, 'of_pycocotools': ratio})
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument('--full', action='store_true', help='the sizes of the issue')
    sizes.add_argument('--quick', action='store_true', help='tiny sizes, to try the script')
    add('--tasks', nargs='+', choices=list(TASKS), default=list(TASKS), metavar='TASK')
    add('--threads', type=int, default=2)
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    add('--plots', type=Path, default=PLOTS, help='folder (default: %(default)s)')
    args = parser.parse_args()
    mode = 0 if args.full else 2 if args.quick else 1
    rows: list[dict[str, Any]] = []
    for name in args.tasks:
        mine = list(rows_of(name, mode, args.threads))
        for row in mine:
            print('{task}, {size}: {seconds} s, {extra_mib} MiB'.format(**row), flush=True)
        plot(mine, args.plots / f'growth_{name.lower().replace(" ", "_")}.png')
        where = conditions(1, args.threads, 1)
        rows += [{'resamples': '', **row, **where} for row in mine]
        write_csv(args.csv, records(with_ratios(rows)))


if __name__ == '__main__':
    main()
