"""Latency of one image on a CPU: plain SSD, the student, both heads' scores, and ways to run it.

    python benchmarks/inference_latency.py configs/ldwsccd/ldwsccd_ssd512-narrow_cric.py \
        configs/ldwsccd_ssd512.py    # writes results/speed_inference.csv
    python benchmarks/inference_latency.py work_dirs/mine/epoch_40.pth --images data/mine/images

A model is a checkpoint that holds its config, or a config, which then gets random weights: so that
as few boxes pass as with trained ones, its score threshold is 0.999. All sides of a model have the
same weights and see the same images, one at a time, in random order: the time is that from an image
in memory to boxes in pixels of the file (resizing, normalisation, network, scores, boxes, NMS).

- plain SSD: mmdet's `SingleStageDetector`, which knows nothing of LD-WSCCD;
- student: the detector with the student's own scores, which is what all other sides run too;
- both heads: with the scores of the MIL head as well (`score_source='fused'`);
- channels_last, compiled (`torch.compile`), ONNX Runtime, OpenVINO: ways to run the student.

What cannot run here has a row without times that says why. A ratio is the median of the ratios
image by image, to the time of the side that `against` names.
"""

import argparse
import copy
import functools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from turns import conditions, parse_timed, quartiles, ratio_in_turns, time_in_turns

from ldwsccd_mmdet.apis import CellInferencer, ExportedDetector, export_detector, find_sources
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.engine.checkpoint_file import read_checkpoint
from ldwsccd_mmdet.engine.config_file import TEACHING_PARTS, drop_teacher
from ldwsccd_mmdet.engine.received_config import received_config
from ldwsccd_mmdet.image_files import read_image

CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_inference.csv'
PLAIN, STUDENT, BOTH = 'plain SSD', 'student', 'both heads'
SUFFIXES = {'ONNX Runtime': '.onnx', 'OpenVINO': '.xml'}
SIDES = (PLAIN, STUDENT, BOTH, 'channels_last', 'compiled', *SUFFIXES)
# the side whose time a ratio is taken to, and the ratio at most
AGAINST: dict[str, tuple[str, float | str]] = {
    STUDENT: (PLAIN, 1.0),
    BOTH: (STUDENT, 1.1),
    **{side: (STUDENT, '') for side in SIDES[3:]},
}
Detect = Callable[[list[np.ndarray]], list[Any]]


def random_checkpoint(path: Path, folder: Path) -> tuple[Config, Path]:
    """The config at a path, and a checkpoint of it with random weights and fitting norms."""
    config = Config.fromfile(path)
    drop_teacher(config.model)
    config.model.test_cfg.score_thr = 0.999
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():  # norms that fit an image: else activations grow from layer to layer
        model.train().extract_feat(60 * torch.randn(2, 3, 512, 512))
    classes = tuple(f'class {number}' for number in range(model.bbox_head.num_classes))
    file = folder / f'{path.stem}.pth'
    meta = dict(cfg=config.pretty_text, dataset_meta=dict(classes=classes))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), file)
    return config, file


def with_model(config: Config, **changes: Any) -> Config:
    """A copy of a config with other settings of its model."""
    config = copy.deepcopy(config)
    config.model.update(changes)
    return config


def make_side(name: str, config: Config, checkpoint: Path, folder: Path, threads: int) -> Detect:
    """Build a side; raises what keeps it from running here."""
    test_cfg = {**config.model.test_cfg, 'score_source': 'ssd'}
    if name == PLAIN:
        plain = with_model(config, type='SingleStageDetector')
        for part in ('mil_head', *TEACHING_PARTS, 'supervision', 'proposer'):
            plain.model.pop(part, None)
        return CellInferencer(plain, checkpoint, device='cpu').detect
    if name == BOTH:
        test_cfg['score_source'] = 'fused'
    inferencer = CellInferencer(with_model(config, test_cfg=test_cfg), checkpoint, device='cpu')
    model: Any = inferencer.model
    if name == 'channels_last':
        model.to(memory_format=torch.channels_last)
    if name == 'compiled':
        model.extract_feat = torch.compile(model.extract_feat)
        model.bbox_head.forward = torch.compile(model.bbox_head.forward)
    if name in SUFFIXES:
        file = folder / f'student{SUFFIXES[name]}'
        export_detector(inferencer, file, [np.full((64, 64, 3), 128, np.uint8)])
        return ExportedDetector(file, threads).detect
    return inferencer.detect


def build_sides(
    names: list[str], config: Config, checkpoint: Path, folder: Path, threads: int, image: Any
) -> tuple[dict[str, Detect], dict[str, str]]:
    """The sides that run here, and why the others do not."""
    detectors: dict[str, Detect] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            detect = make_side(name, config, checkpoint, folder, threads)
            detect([image])
        except Exception as error:  # a compiler or a package may be missing, each in its own way
            if name in (PLAIN, STUDENT):
                raise
            first = str(error).strip().splitlines() or ['']
            reasons[name] = f'{type(error).__name__}: {first[0]}'[:160]
        else:
            detectors[name] = detect
    return detectors, reasons


def measure(path: Path, args: argparse.Namespace, images: list[np.ndarray]) -> list[dict[str, Any]]:
    """The rows of one model."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if path.suffix == '.py':
            config, checkpoint = random_checkpoint(path, folder)
        else:
            config, checkpoint = received_config(read_checkpoint(str(path)), str(path)), path
        detectors, reasons = build_sides(
            args.sides, config, checkpoint, folder, args.threads, images[0]
        )

        def call(detect: Detect, run: int) -> Any:
            return detect([images[run % len(images)]])

        calls = {name: functools.partial(call, detect) for name, detect in detectors.items()}
        with torch.inference_mode():
            times, results = time_in_turns(calls, args.runs)
    where = conditions(args.runs, args.threads, len(calls))
    rows = []
    for name in args.sides:
        row: dict[str, Any] = dict(model=path.stem, side=name)
        if name in reasons:
            row |= dict(p25_ms='', latency_ms='', p75_ms='', boxes='')
        else:
            boxes = statistics.median(len(cells) for (cells,) in results[name])
            row |= {**quartiles(times[name]), 'boxes': boxes}
        other, goal = AGAINST.get(name, ('', ''))
        known = name in times and other in times
        ratio = round(ratio_in_turns(times[name], times[other]), 3) if known else ''
        row |= dict(ratio=ratio, against=other, goal=goal, not_run=reasons.get(name, ''))
        rows.append({**row, 'weights': 'random' if path.suffix == '.py' else 'trained', **where})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('models', type=Path, nargs='+', help='checkpoints that hold their config, or configs')
    add('--images', nargs='+', help='images, or a folder of them (default: random pixels)')
    add('--size', type=int, default=512, help='side of the random images')
    add('--sides', nargs='+', choices=SIDES, default=list(SIDES), metavar='SIDE')
    args = parse_timed(parser, CSV)
    register_all_modules()
    if args.images:
        images = [read_image(source.path) for source in find_sources(args.images)[: args.runs]]
    else:
        draw = np.random.default_rng(0).integers
        images = [draw(0, 256, (args.size, args.size, 3), np.uint8) for _ in range(5)]
    rows: list[dict[str, Any]] = []
    for path in args.models:
        rows += measure(path, args, images)
        for row in rows[-len(args.sides) :]:
            print('{model}, {side}: {latency_ms} ms, ratio {ratio} {not_run}'.format(**row))
        write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
