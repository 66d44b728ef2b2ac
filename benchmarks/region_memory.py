"""Peak memory of the MIL head in training, by how many regions' pooled features are kept.

    OMP_NUM_THREADS=1 python benchmarks/region_memory.py    # writes results/speed_region_memory.csv

The head of configs/ldwsccd_ssd512.py (VGG16's map of 512 x 64 x 64, RoIAlign 7, layers of 1024),
the boxes being seeds too: forward, both losses, and backward into head and map. Each setting runs
once in a process of its own; what counts is the peak of resident memory over what head and map
take before.
"""

import argparse
import csv
import itertools
import multiprocessing
import os
import platform
import resource
import shlex
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_region_memory.csv'


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(
    regions: int, batch: int, chunk: int | None, boxes: int, threads: int, small: bool
) -> dict:
    # imported here: a child's peak begins with what its parent had, so that must stay small
    import torch
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config
    from mmengine.structures import InstanceData

    import ldwsccd_mmdet  # noqa: F401

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    register_all_modules()
    cfg = Config.fromfile(ROOT / 'configs' / 'ldwsccd_ssd512.py').model.mil_head
    cfg.update(roi_chunk_size=chunk, gt_seeds=True)
    if small:
        cfg.fc_out_channels = 8
        cfg.bbox_roi_extractor.update(out_channels=4)
    head = MODELS.build(cfg)

    def random_boxes(n: int) -> torch.Tensor:
        corner = torch.rand(n, 2) * 440
        return torch.cat([corner, corner + 16 + torch.rand(n, 2) * 56], dim=1)

    feat = torch.randn(batch, cfg.bbox_roi_extractor.out_channels, 64, 64, requires_grad=True)
    bboxes = [random_boxes(regions) for _ in range(batch)]
    labels = torch.ones(batch, head.num_classes)
    known = [
        InstanceData(bboxes=random_boxes(boxes), labels=torch.arange(boxes) % head.num_classes)
        for _ in range(batch)
    ]
    before, start = peak_mib(), time.process_time()
    sum(head.loss((feat,), bboxes, labels, known).values()).backward()
    return dict(
        regions=regions,
        batch=batch,
        roi_chunk_size=chunk,
        boxes=boxes,
        extra_peak_mib=round(peak_mib() - before),
        pooled_mib=round(regions * batch * head.shared_fcs[1].in_features * 4 / 2**20),
        cpu_s=round(time.process_time() - start, 1),
        torch=torch.__version__,
        machine=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        command=shlex.join(['python', 'benchmarks/region_memory.py', *sys.argv[1:]]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--regions', type=int, nargs='+', default=[4000], help='of an image')
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 4])
    parser.add_argument(
        '--chunk', type=int, nargs='+', default=[0, 4096, 1024], help='roi_chunk_size; 0 is None'
    )
    parser.add_argument('--boxes', type=int, default=100, help='known in an image')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--small', action='store_true', help='tiny layers, to try the script')
    parser.add_argument('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    rows: list[dict] = []
    context = multiprocessing.get_context('spawn')
    for regions, batch, chunk in itertools.product(args.regions, args.batch, args.chunk):
        with ProcessPoolExecutor(1, mp_context=context) as process:
            job = (regions, batch, chunk or None, args.boxes, args.threads, args.small)
            rows.append(process.submit(measure, *job).result())
        print(rows[-1], flush=True)
        with args.csv.open('w', newline='') as file:
            writer = csv.DictWriter(file, rows[0], lineterminator='\n')
            writer.writeheader()
            writer.writerows(rows)


if __name__ == '__main__':
    main()
