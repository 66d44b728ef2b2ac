"""Latency of whole predictions of trained detectors, each in one process with the others.

    python benchmarks/prediction_latency.py work_dirs/compare_bccd_small

writes results/speed_prediction_bccd.csv.

A folder is one of tools/compare.py (all models of one seed) or the work directory of a training.
The time is that from the resized image in memory to boxes in pixels of the file: normalisation,
network, scores, boxes and NMS. Reading and resizing, which is the same for all, is not in it. The
models take turns on images of the test set, one image each in random order, so that all see the
same machine; medians. benchmarks/models.py has size, operations and the network alone.
"""

import argparse
import statistics
from pathlib import Path

import torch
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.dataset import pseudo_collate
from mmengine.runner import load_checkpoint
from torch import nn
from turns import conditions, parse_timed, quartiles, time_in_turns

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.engine.config_file import drop_teacher, load_config
from ldwsccd_mmdet.engine.find_checkpoint import find_checkpoint, find_resume

CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_prediction_bccd.csv'


def find_trainings(folders: list[Path], seed: int) -> dict[str, Path]:
    """Work directories by the name of their config."""
    found: dict[str, Path] = {}
    for folder in folders:
        marks = sorted(folder.glob(f'*/seed_{seed}/last_checkpoint'))
        for training in [mark.parent for mark in marks] or [folder]:
            configs = sorted(training.glob('*.py'))
            if len(configs) != 1 or found.setdefault(configs[0].stem, training) != training:
                raise SystemExit(
                    f'error: {training}: expected one config (*.py) that no other folder has, '
                    f'found {[path.name for path in configs]}: name work directories of trainings'
                )
    return found


def load(training: Path, name: str, count: int) -> tuple[nn.Module, list[dict], str]:
    """A trained detector, images of its test set, and its checkpoint."""
    config = load_config(str(training / f'{name}.py'))
    drop_teacher(config.model)  # needed in training only, as are its losses
    detector = MODELS.build(config.model)
    checkpoint = find_checkpoint(find_resume(str(training), 'auto'))
    load_checkpoint(detector, checkpoint, map_location='cpu')
    dataset = DATASETS.build(config.test_dataloader.dataset)
    batches = [pseudo_collate([dataset[i]]) for i in range(min(count, len(dataset)))]
    return detector.eval(), batches, Path(checkpoint).name


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('folders', nargs='+', type=Path)
    add('--seed', type=int, default=0, help='which trainings of a comparison')
    args = parse_timed(parser, CSV)
    register_all_modules()

    calls, checkpoints = {}, {}
    for name, training in find_trainings(args.folders, args.seed).items():
        detector, batches, checkpoints[name] = load(training, name, args.runs)
        calls[name] = lambda run, d=detector, b=batches: d.test_step(b[run % len(b)])
    with torch.inference_mode():
        times, results = time_in_turns(calls, args.runs)
    rows = [
        dict(
            model=name,
            checkpoint=checkpoints[name],
            **quartiles(times[name], median='prediction_ms'),
            boxes=statistics.median(len(r.pred_instances) for (r,) in results[name]),
            **conditions(args.runs, args.threads, len(calls)),
        )
        for name in calls
    ]
    for row in rows:
        print('{model}: {prediction_ms} ms ({p25_ms} to {p75_ms}), {boxes} boxes'.format(**row))
    write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
