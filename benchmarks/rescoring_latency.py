"""What re-scoring by the MIL head costs at test: latency of one image, by `score_source`.

    python benchmarks/rescoring_latency.py configs/ldwsccd/ldwsccd_ssd512-narrow_cric.py \
        --checkpoint work_dirs/ldwsccd_ssd512-narrow_cric/epoch_40.pth \
        --images data/cric/images --regions 100 64 --threads 2

Without a checkpoint the weights are random; without images, the pixels are. Random weights give
every prior much the same score: raise `model.test_cfg.score_thr` until as few boxes pass as with
trained ones (`ssd_boxes` of the CSV), lest the student alone spend its time on NMS.

Each image is detected with SSD scores and with each source and number of regions in turns, and what
re-scoring adds is the median over these turns of the ratio of two times, which other work on the
machine changes little. Processor time is that of all threads: on one thread it is the latency of an
idle machine.
"""

import argparse
import csv
import itertools
import platform
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, DictAction
from mmengine.runner import load_checkpoint
from torch import nn

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.engine.config_file import drop_teacher

#: Source of scores, and how many regions the MIL head sees.
Side = tuple[str, int]
CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_rescoring.csv'


def load_images(folder: Path | None, size: int, count: int) -> list[np.ndarray]:
    if folder is None:
        generator = np.random.default_rng(0)
        return [generator.integers(0, 256, (size, size, 3), np.uint8) for _ in range(count)]
    files = sorted(p for p in folder.iterdir() if p.suffix in ('.jpg', '.png'))[:count]
    return [cv2.resize(cv2.imread(str(file)), (size, size)) for file in files]


def as_batch(image: np.ndarray) -> dict:
    shape = image.shape[:2]
    sample = DetDataSample(
        metainfo=dict(img_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0), img_id=0)
    )
    return dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=[sample])


def compare(alone: list[float], rescored: list[float], prefix: str) -> dict:
    ratios = [b / a for a, b in zip(alone, rescored, strict=True)]
    return {
        f'{prefix}ssd_ms': round(1e3 * statistics.median(alone), 1),
        f'{prefix}ms': round(1e3 * statistics.median(rescored), 1),
        f'{prefix}added': f'{100 * (statistics.median(ratios) - 1):+.1f} %',
    }


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('--checkpoint')
    parser.add_argument('--images', type=Path)
    parser.add_argument('--sources', nargs='+', default=['mil', 'fused'])
    parser.add_argument(
        '--regions', type=int, nargs='+', help='by default test_cfg.proposal.max_per_img'
    )
    parser.add_argument('--size', type=int, default=512)
    parser.add_argument('--count', type=int, default=10, help='images')
    parser.add_argument('--runs', type=int, default=3, help='of each image')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument(
        '--csv', type=Path, default=CSV, help='rows are added (default: %(default)s)'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args()


def build(args: argparse.Namespace) -> nn.Module:
    register_all_modules()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    # testing needs no teacher
    drop_teacher(cfg.model)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    return model.eval()


def time_sides(
    model: nn.Module, images: list[np.ndarray], sides: list[Side], runs: int
) -> tuple[dict[Side, list[float]], dict[Side, list[float]], float]:
    """Seconds of each side by the wall and by the processors, and the SSD's boxes an image."""
    test_cfg = model.test_cfg
    wall: dict[Side, list[float]] = {side: [] for side in sides}
    cpu: dict[Side, list[float]] = {side: [] for side in sides}
    ssd_boxes: list[int] = []
    with torch.no_grad():
        # the first turn only warms up
        for turn, image in enumerate(images[:1] + images * runs):
            data = model.data_preprocessor(as_batch(image))
            first = turn % len(sides)  # each comes first and last equally often
            for side in sides[first:] + sides[:first]:
                test_cfg['score_source'], test_cfg['proposal']['max_per_img'] = side
                start, cpu_start = time.perf_counter(), time.process_time()
                result = model.predict(data['inputs'], data['data_samples'])
                if turn > 0:
                    wall[side].append(time.perf_counter() - start)
                    cpu[side].append(time.process_time() - cpu_start)
                    if side == sides[0]:
                        ssd_boxes.append(len(result[0].pred_instances))
    return wall, cpu, statistics.median(ssd_boxes)


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = build(args)
    regions = args.regions or [model.test_cfg['proposal']['max_per_img']]
    sides = [('ssd', regions[0]), *itertools.product(args.sources, regions)]
    images = load_images(args.images, args.size, args.count)
    wall, cpu, ssd_boxes = time_sides(model, images, sides, args.runs)
    for side in sides[1:]:
        row = dict(
            config=args.config,
            options=' '.join(f'{key}={value}' for key, value in args.cfg_options.items()),
            size=args.size,
            source=side[0],
            regions=side[1],
            **compare(wall[sides[0]], wall[side], ''),
            **compare(cpu[sides[0]], cpu[side], 'cpu_'),
            ssd_boxes=ssd_boxes,
            images=len(images),
            runs=args.runs,
            threads=args.threads,
            torch=torch.__version__,
            machine=platform.processor() or platform.machine(),
        )
        print(row)
        is_new = not args.csv.exists()
        with args.csv.open('a', newline='') as file:
            writer = csv.DictWriter(file, row, lineterminator='\n')
            if is_new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == '__main__':
    main()
