"""What re-scoring by the MIL head costs at test: latency of one image with each `score_source`.

    python benchmarks/rescoring_latency.py configs/cric/ldwsccd_ssd512-narrow_cric.py \
        --checkpoint work_dirs/ldwsccd_ssd512-narrow_cric/epoch_40.pth \
        --images ../shared/data/cric/images --cfg-options model.test_cfg.proposal.max_per_img=100

Without a checkpoint the weights are random; without images, the pixels are. Each image goes through
all sources one after the other, so that they see the same machine; medians over images and runs, of
wall and of processor time: where other work takes the cores, trust the latter.
"""

import argparse
import csv
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

import ldwsccd_mmdet  # noqa: F401

SOURCES = ('ssd', 'mil', 'fused')


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('--checkpoint')
    parser.add_argument('--images', type=Path)
    parser.add_argument('--size', type=int, default=512)
    parser.add_argument('--count', type=int, default=10, help='images')
    parser.add_argument('--runs', type=int, default=5, help='of each image')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--csv', type=Path, help='a row is added')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    register_all_modules()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    # testing needs no teacher
    cfg.model.update(teacher=None, distillation=None)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    if args.checkpoint:
        load_checkpoint(model, args.checkpoint, map_location='cpu')
    model.eval()

    times: dict[str, list[float]] = {source: [] for source in SOURCES}
    cpu_times: dict[str, list[float]] = {source: [] for source in SOURCES}
    with torch.no_grad():
        for run in range(-1, args.runs):
            for image in load_images(args.images, args.size, args.count):
                data = model.data_preprocessor(as_batch(image))
                for source in SOURCES:
                    model.test_cfg['score_source'] = source
                    start, cpu_start = time.perf_counter(), time.process_time()
                    model.predict(data['inputs'], data['data_samples'])
                    if run >= 0:
                        times[source].append(time.perf_counter() - start)
                        cpu_times[source].append(time.process_time() - cpu_start)
    median = {source: statistics.median(values) for source, values in times.items()}
    cpu = {source: statistics.median(values) for source, values in cpu_times.items()}
    row = dict(
        config=args.config,
        options=' '.join(f'{key}={value}' for key, value in args.cfg_options.items()),
        size=args.size,
        regions=cfg.model.test_cfg.proposal.max_per_img,
        **{f'{source}_ms': round(1e3 * median[source], 1) for source in SOURCES},
        **{
            f'{source}_added': f'{100 * (median[source] / median["ssd"] - 1):+.1f} %'
            for source in SOURCES[1:]
        },
        **{f'{source}_cpu_ms': round(1e3 * cpu[source], 1) for source in SOURCES},
        **{
            f'{source}_cpu_added': f'{100 * (cpu[source] / cpu["ssd"] - 1):+.1f} %'
            for source in SOURCES[1:]
        },
        images=args.count,
        runs=args.runs,
        threads=args.threads,
        torch=torch.__version__,
        machine=platform.machine(),
    )
    print(row)
    if args.csv:
        is_new = not args.csv.exists()
        with args.csv.open('a', newline='') as file:
            writer = csv.DictWriter(file, row, lineterminator='\n')
            if is_new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == '__main__':
    main()
