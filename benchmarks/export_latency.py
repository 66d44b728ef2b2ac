"""Latency of one detector in torch, ONNX Runtime and OpenVINO, side by side in one process.

    python benchmarks/export_latency.py work_dirs/mine/epoch_40.pth --images data/mine/images

writes results/speed_export.csv.

The checkpoint is exported into a folder that is then deleted. The time is that from an image in
memory to boxes in pixels of the file: resizing, normalisation, network, scores, boxes and NMS. The
three take turns on the same images in random order, so that all see the same machine; medians.
"""

import argparse
import random
import statistics
import tempfile
from pathlib import Path

import torch
from turns import conditions, quartiles, time_in_turns

from ldwsccd_mmdet.apis import CellInferencer, ExportedDetector, export_detector, find_sources
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.image_files import read_image

CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_export.csv'
SUFFIXES = {'onnx': '.onnx', 'openvino': '.xml'}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('checkpoint', type=Path, help='one that holds its config')
    add('--images', nargs='+', required=True, help='images, or a folder of them')
    add('--formats', nargs='+', choices=list(SUFFIXES), default=list(SUFFIXES))
    add('--runs', type=int, default=50)
    add('--threads', type=int, default=2)
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random.seed(0)

    images = [read_image(source.path) for source in find_sources(args.images)[: args.runs]]
    inferencer = CellInferencer(args.checkpoint, device='cpu')
    detectors = {'torch': inferencer}
    with tempfile.TemporaryDirectory() as folder:
        for kind in args.formats:
            file = Path(folder) / f'student{SUFFIXES[kind]}'
            export_detector(inferencer, file, images[:2])
            detectors[kind] = ExportedDetector(file, args.threads)
        calls = {
            name: lambda run, d=detector: d.detect([images[run % len(images)]])
            for name, detector in detectors.items()
        }
        times, results = time_in_turns(calls, args.runs)
    rows = [
        dict(
            run_time=name,
            checkpoint=args.checkpoint.name,
            **quartiles(times[name]),
            boxes=statistics.median(len(cells) for (cells,) in results[name]),
            **conditions(args.runs, args.threads, len(calls)),
        )
        for name in calls
    ]
    for row in rows:
        print('{run_time}: {latency_ms} ms ({p25_ms} to {p75_ms}), {boxes} boxes'.format(**row))
    write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
