"""Time and memory of LocalDistillationLoss against a straightforward implementation.

    python benchmarks/local_distillation.py --threads 2

writes results/speed_local_distillation.csv.

Forward and backward on the five levels of SSD512 that are distilled. The yardstick is FGD's focal
and attention loss as its equations read: masked and attention-weighted copies of both maps under
autograd, then sums of squares. '8 products' multiplies as FGD's code does, every map by both
attentions and both masks; '6 products' multiplies the two attentions first. All sides get the same
maps and boxes, build the same masks, and must give the same loss and gradient. Time: repetitions of
the sides take turns in one process, and medians count. Where other work shares the cores, the ratio
of processor time (of all threads) is the one to trust: set GOMP_SPINCOUNT=0, lest threads that wait
count as work. A GPU is judged by wall time. Memory:
another process runs each side once, and what counts is its peak over the inputs and their gradients
(resident memory on a CPU, which gets every freed tensor back at once; allocated memory on a GPU).
"""

import argparse
import csv
import gc
import itertools
import json
import multiprocessing
import os
import platform
import shlex
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_local_distillation.csv'
LEVELS = ((512, 64), (1024, 32), (512, 16), (256, 8), (256, 4))  # channels, cells a side
INPUT_SIZE = (512, 512)
TEMPERATURE = 0.5
OURS = 'ours'
YARDSTICKS = ('8 products', '6 products')


def attention(feat: Tensor) -> tuple[Tensor, Tensor]:
    num_images, channels, height, width = feat.shape
    value = feat.abs()
    spatial = value.mean(dim=1).view(num_images, -1) / TEMPERATURE
    spatial = (height * width * spatial.softmax(dim=1)).view(num_images, 1, height, width)
    channel = value.mean(dim=(2, 3)) / TEMPERATURE
    return spatial, (channels * channel.softmax(dim=1))[..., None, None]


def standardize(feat: Tensor) -> Tensor:
    centred = feat - feat.mean(dim=(2, 3), keepdim=True)
    return centred * (centred.square().mean(dim=(2, 3), keepdim=True) + 1e-6).rsqrt()


def copies(feat: Tensor, factors: list[Tensor], masks: list[Tensor]) -> list[Tensor]:
    """Weighted copies of one map for foreground and background."""
    for factor in factors:
        feat = feat * factor
    return [feat * mask for mask in masks]


def straightforward(students, teachers, boxes, side: str, feature_norm: str | None) -> Tensor:
    from ldwsccd_mmdet.models.losses import fgd_scale_masks

    total = students[0].new_zeros(())
    for student, teacher in zip(students, teachers, strict=True):
        if feature_norm == 'standardize':
            student, teacher = standardize(student), standardize(teacher)
        num_images = len(student)
        masks = fgd_scale_masks(boxes, student.shape[2:], INPUT_SIZE)
        masks = [mask[:, None].sqrt() for mask in masks]
        spatial_t, channel_t = attention(teacher)
        spatial_s, channel_s = attention(student)
        factors = [spatial_t.sqrt(), channel_t.sqrt()]
        if side == '6 products':
            factors = [factors[0] * factors[1]]
        of_student = copies(student, factors, masks)
        of_teacher = copies(teacher, factors, masks)
        for weight, s, t in zip((0.001, 0.0005), of_student, of_teacher, strict=True):
            total = total + weight * F.mse_loss(s, t, reduction='sum') / num_images
        differences = (spatial_t - spatial_s).abs().sum() + (channel_t - channel_s).abs().sum()
        total = total + 0.001 * differences / num_images
    return total


def make_inputs(levels, batch: int, device: str, layout: str, dtype: str, boxes_per_image: int):
    generator = torch.Generator().manual_seed(0)
    memory_format = torch.channels_last if layout == 'channels_last' else torch.contiguous_format

    def maps(requires_grad: bool) -> list[Tensor]:
        return [
            torch.randn(batch, channels, size, size, generator=generator)
            .to(device, getattr(torch, dtype))
            .contiguous(memory_format=memory_format)
            .requires_grad_(requires_grad)
            for channels, size in levels
        ]

    students, teachers = maps(True), maps(False)
    boxes = []
    for _ in range(batch):
        corner = torch.rand(boxes_per_image, 2, generator=generator) * 440
        size = 16 + torch.rand(boxes_per_image, 2, generator=generator) * 56
        boxes.append(torch.cat([corner, corner + size], dim=1).to(device))
    return students, teachers, boxes


def make_step(side: str, inputs, levels, feature_norm: str | None):
    """Return a function that runs forward and backward once, and gives the loss."""
    students, teachers, boxes = inputs
    if side == OURS:
        from ldwsccd_mmdet.models.losses import LocalDistillationLoss

        channels = [level[0] for level in levels]
        weights = dict(alpha=0.001, beta=0.0005, gamma=0.001)  # as published with FGD
        module = LocalDistillationLoss(
            channels, channels, normalize='fgd', feature_norm=feature_norm, **weights
        )

        def loss() -> Tensor:
            return sum(module(students, teachers, boxes, INPUT_SIZE).values())
    else:

        def loss() -> Tensor:
            return straightforward(students, teachers, boxes, side, feature_norm)

    def step() -> float:
        value = loss()
        value.backward()
        return value.item()  # waits for a GPU

    return step


def clear_gradients(students: list[Tensor]) -> list[Tensor]:
    gradients = [student.grad for student in students]
    for student in students:
        student.grad = None
    return gradients


def check_equal(steps: dict, students: list[Tensor], rtol: float) -> None:
    values, gradients = {}, {}
    for side, step in steps.items():
        values[side] = step()
        gradients[side] = clear_gradients(students)
    for side in steps:
        if not abs(values[side] - values[OURS]) <= rtol * abs(values[OURS]):
            raise AssertionError(f'the sides differ: {values}')
        for mine, theirs in zip(gradients[OURS], gradients[side], strict=True):
            error = (mine.float() - theirs.float()).norm() / theirs.float().norm()
            if not error <= rtol:
                raise AssertionError(f'gradients differ from {side} by {error:.1e}')


def measure_time(
    steps: dict, students: list[Tensor], repetitions: int
) -> dict[str, tuple[float, float]]:
    """Median wall and processor seconds of each side; the sides take turns."""
    seconds: dict[str, list[tuple[float, float]]] = {side: [] for side in steps}
    for _ in range(repetitions):
        for side, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            seconds[side].append((time.perf_counter() - wall, time.process_time() - processor))
            clear_gradients(students)
    return {
        side: tuple(map(statistics.median, zip(*values, strict=True)))
        for side, values in seconds.items()
    }


def memory_status(key: str) -> int:
    """Resident memory of this process in bytes: VmRSS now, VmHWM at its peak (Linux)."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def extra_peak_memory(spec: dict, side: str) -> int:
    """Peak bytes over inputs and gradients."""
    torch.set_num_threads(spec['threads'])
    levels, device, norm = spec['levels'], spec['device'], spec['feature_norm']
    kind = (device, spec['layout'], spec['dtype'], spec['boxes'])
    # libraries get what they keep on a tiny problem first
    make_step(side, make_inputs([(8, 4)], 1, *kind), [(8, 4)], norm)()
    inputs = make_inputs(levels, spec['batch'], *kind)
    step = make_step(side, inputs, levels, norm)
    gradients = sum(student.numel() * student.element_size() for student in inputs[0])
    gc.collect()
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before - gradients
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = memory_status('VmRSS')
    step()
    return memory_status('VmHWM') - before - gradients


def memory_process() -> ProcessPoolExecutor:
    """Start a process that gives every freed tensor back at once, so that peaks do not overlap."""
    os.environ['MALLOC_MMAP_THRESHOLD_'] = '65536'
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn'))


def measure_mask(boxes: list[Tensor], levels, repetitions: int) -> dict[str, float]:
    """Median processor seconds of the masks of all levels."""
    from ldwsccd_mmdet.models.losses import fgd_scale_masks, foreground_mask

    out = {}
    for name, function in (('region', foreground_mask), ('fgd', fgd_scale_masks)):
        seconds = []
        for _ in range(repetitions + 1):
            start = time.process_time()
            for _, size in levels:
                function(boxes, (size, size), INPUT_SIZE)
            seconds.append(time.process_time() - start)
        out[name] = statistics.median(seconds[1:])
    return out


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--batch', type=int, nargs='+', default=[4, 10])
    parser.add_argument('--repetitions', type=int, default=9)
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--layout', nargs='+', default=['contiguous', 'channels_last'])
    parser.add_argument('--dtype', default='float32')
    parser.add_argument('--feature-norm', nargs='+', default=['none', 'standardize'])
    parser.add_argument('--boxes', type=int, default=100, help='boxes an image')
    parser.add_argument(
        '--per-level',
        action='store_true',
        help='each level alone too, for the first layout and feature norm',
    )
    parser.add_argument('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    choices = list(itertools.product([(LEVELS, 'all five')], args.layout, args.feature_norm))
    if args.per_level:
        single = [((level,), '{0}x{1}x{1}'.format(*level)) for level in LEVELS]
        choices += itertools.product(single, args.layout[:1], args.feature_norm[:1])
    rows = []
    with memory_process() as process:
        for ((levels, name), layout, norm), batch in itertools.product(choices, args.batch):
            spec = dict(
                levels=levels,
                batch=batch,
                device=args.device,
                layout=layout,
                dtype=args.dtype,
                boxes=args.boxes,
                feature_norm=None if norm == 'none' else norm,
                threads=args.threads,
            )
            rows += measure(spec, name, args.repetitions, process)
            write(args.csv, rows, args)


def measure(spec: dict, name: str, repetitions: int, process: ProcessPoolExecutor) -> list[dict]:
    sides = [OURS, *YARDSTICKS]
    memory = {side: process.submit(extra_peak_memory, spec, side).result() for side in sides}
    inputs = make_inputs(
        spec['levels'], spec['batch'], spec['device'], spec['layout'], spec['dtype'], spec['boxes']
    )
    steps = {side: make_step(side, inputs, spec['levels'], spec['feature_norm']) for side in sides}
    check_equal(steps, inputs[0], rtol=1e-4 if spec['dtype'] == 'float32' else 3e-2)
    seconds = measure_time(steps, inputs[0], repetitions)
    masks = measure_mask(inputs[2], spec['levels'], repetitions)
    rows = []
    for yardstick in YARDSTICKS:
        row = dict(
            levels=name,
            layout=spec['layout'],
            feature_norm=spec['feature_norm'] or 'none',
            batch=spec['batch'],
            yardstick=yardstick,
            ours_ms=round(seconds[OURS][0] * 1e3, 1),
            yardstick_ms=round(seconds[yardstick][0] * 1e3, 1),
            time_ratio=round(seconds[OURS][0] / seconds[yardstick][0], 3),
            ours_cpu_ms=round(seconds[OURS][1] * 1e3, 1),
            yardstick_cpu_ms=round(seconds[yardstick][1] * 1e3, 1),
            cpu_time_ratio=round(seconds[OURS][1] / seconds[yardstick][1], 3),
            ours_extra_mib=round(memory[OURS] / 2**20, 1),
            yardstick_extra_mib=round(memory[yardstick] / 2**20, 1),
            memory_ratio=round(memory[OURS] / memory[yardstick], 3),
            mask_cpu_ms=round(masks['region'] * 1e3, 2),
            mask_share=round(masks['region'] / seconds[OURS][1], 4),
            fgd_mask_cpu_ms=round(masks['fgd'] * 1e3, 2),
            fgd_mask_share=round(masks['fgd'] / seconds[OURS][1], 4),
        )
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def write(path: Path, rows: list[dict], args: argparse.Namespace) -> None:
    machine = dict(
        dtype=args.dtype,
        boxes_per_image=args.boxes,
        repetitions=args.repetitions,
        threads=args.threads,
        torch=torch.__version__,
        machine=machine_name(args.device),
        command='python ' + shlex.join(sys.argv),
    )
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, [*rows[0], *machine], lineterminator='\n')
        writer.writeheader()
        writer.writerows({**row, **machine} for row in rows)


def machine_name(device: str) -> str:
    if device != 'cpu':
        return torch.cuda.get_device_name()
    info = Path('/proc/cpuinfo')
    models = [
        line.split(':', 1)[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith('model name')
    ]
    return f'{models[0] if models else platform.processor()}, {os.cpu_count()} cores'


if __name__ == '__main__':
    main()
