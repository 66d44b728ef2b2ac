"""What the operators in plain torch cost beside mmcv's compiled ones, in turns, in one process.

    python benchmarks/operators.py --csv results/speed_operators.csv

Needs mmcv with compiled operators (`MMCV=compiled make env`); without them only the times of plain
torch are written, and the columns of mmcv stay empty. Processor time is that of all threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from turns import conditions

from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.ops import OPERATORS, is_stand_in

Operators = Callable[[str], Callable[..., Any]]
# boxes, objects they lie around, IoU threshold
NMS_CASES = ((1000, 20, 0.45), (5000, 10, 0.7), (5000, 100, 0.7), (5000, 5000, 0.7))
# regions, channels, side of the map, bins, sampling ratio
ROI_CASES = ((256, 64, 32, 4, 1), (256, 128, 64, 7, 1), (512, 256, 64, 7, 2), (256, 256, 64, 7, 0))
STRIDE = 8


def nms_case(num_boxes: int, num_objects: int, iou_threshold: float) -> Callable[[Operators], None]:
    """NMS of boxes around objects of 20 to 200 px in a field of 800 px, as an RPN makes them."""
    objects = torch.rand(num_objects, 4) * torch.tensor([800.0, 800, 180, 180])
    chosen = objects[torch.randint(num_objects, (num_boxes,))]
    size = (chosen[:, 2:] + 20) * (0.15 * torch.randn(num_boxes, 2)).exp()
    centre = chosen[:, :2] + 0.15 * torch.randn(num_boxes, 2) * size
    boxes = torch.cat([centre - size / 2, centre + size / 2], dim=1)
    scores = torch.rand(num_boxes)
    return lambda of: of('nms')(boxes, scores, iou_threshold=iou_threshold, offset=0)


def roi_align_case(
    regions: int, channels: int, side: int, bins: int, sampling_ratio: int
) -> Callable[[Operators], None]:
    """Forward and backward of RoIAlign, on two maps of stride 8 and regions of 12 to 150 px."""
    corner = torch.rand(regions, 2) * side * STRIDE * 0.9
    size = (torch.rand(regions, 2) * 2.5 + 2.5).exp()
    image = torch.randint(2, (regions, 1)).float()
    rois = torch.cat([image, corner, (corner + size).clamp(max=side * STRIDE)], dim=1)
    maps = torch.randn(2, channels, side, side)
    grad = torch.randn(regions, channels, bins, bins)
    options = dict(
        aligned_height=bins,
        aligned_width=bins,
        spatial_scale=1 / STRIDE,
        sampling_ratio=sampling_ratio,
        pool_mode=1,
        aligned=True,
    )

    def run(of: Operators) -> None:
        none: Tensor = torch.zeros(0)
        of('roi_align_forward')(maps, rois, torch.zeros_like(grad), none, none, **options)
        of('roi_align_backward')(grad, rois, none, none, torch.zeros_like(maps), **options)

    return run


def time_case(run: Callable[[Operators], None], sides: dict[str, Operators], runs: int) -> dict:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(-1, runs):  # the first warms up
        for name in sorted(sides, reverse=bool(turn % 2)):
            start = time.process_time()
            run(sides[name])
            if turn >= 0:
                times[name].append(1e3 * (time.process_time() - start))
    row: dict[str, Any] = {f'{name}_cpu_ms': '' for name in ('mmcv', 'torch')}
    row.update({f'{name}_cpu_ms': round(statistics.median(t), 2) for name, t in times.items()})
    row['ratio'] = ''
    if 'mmcv' in times:
        turns = zip(times['torch'], times['mmcv'], strict=True)
        row['ratio'] = round(statistics.median(a / b for a, b in turns), 2)
    return row


def compiled_operators() -> ModuleType | None:
    if is_stand_in():
        return None
    import mmcv._ext

    return mmcv._ext


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runs', type=int, default=9)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--boxes', type=int, help='only cases of at most so many boxes or regions')
    parser.add_argument('--csv', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    sides: dict[str, Operators] = {'torch': OPERATORS.__getitem__}
    compiled = compiled_operators()
    if compiled is not None:
        sides['mmcv'] = lambda name: getattr(compiled, name)
    cases = [('nms', case, nms_case) for case in NMS_CASES]
    cases += [('roi_align', case, roi_align_case) for case in ROI_CASES]
    rows = []
    for operator, case, make in cases:
        if args.boxes and case[0] > args.boxes:
            continue
        label = ' x '.join(map(str, case))
        timed = time_case(make(*case), sides, args.runs)
        rows.append(
            dict(operator=operator, case=label) | timed | conditions(args.runs, args.threads, 0)
        )
        print(rows[-1])
    if args.csv:
        write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
