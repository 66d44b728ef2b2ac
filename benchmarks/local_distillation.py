"""Time, memory and memory traffic of LocalDistillationLoss, as shipped, against FGD's loss.

    OMP_NUM_THREADS=2 python benchmarks/local_distillation.py --threads 2

writes results/speed_local_distillation.csv.

Forward and backward on the five levels of SSD512 that are distilled, together and each alone, in
float32 and bfloat16, contiguous and channels_last. Ours is the loss as every config has it: maps
standardised, regions divided by their size. The yardstick is FGD's focal and attention loss as its
equations read and its code multiplies: raw maps, each by both attentions and both masks, under
autograd, then sums of squares. Ours does more, as it standardises both maps first. Before anything
is timed, ours with `normalize='fgd'` on raw maps must give the yardstick's loss and gradient.

Time: repetitions take turns in one process; a ratio is the median of the ratios turn by turn. Where
other work shares the cores, the ratio of processor time (of all threads) is the one to trust: set
GOMP_SPINCOUNT=0, lest threads that wait count as work. A GPU is judged by wall time.

Memory traffic: ours reads both maps forward and both backward and writes the gradient once, five
passes over a map (three over the student's). Between the turns, a stream (c = a + b on arrays that
no cache holds) says what such passes cost at least on this machine at this time: `passes_ms`. What
the loss takes beyond is `over_passes`, 1 for a loss that does nothing but read and write.

Memory: another process runs each side once, and what counts is its peak over the inputs and their
gradients (resident memory on a CPU, which gets every freed tensor back at once; allocated memory on
a GPU).
"""

import argparse
import gc
import itertools
import json
import multiprocessing
import os
import shlex
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from turns import conditions, machine_name, ratio_in_turns

from ldwsccd_mmdet.csv_table import records, write_csv

CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_local_distillation.csv'
LEVELS = ((512, 64), (1024, 32), (512, 16), (256, 8), (256, 4))  # channels, cells a side
INPUT_SIZE = (512, 512)
TEMPERATURE = 0.5
OURS, SAME, FGD = 'ours', 'ours as FGD', 'FGD'
# whole maps that reach memory, forward and backward: student and teacher twice, the gradient once
PASSES = 5
# of the ratio of times, at most: all levels together, and each alone
GOALS = (0.20, 0.5)
AS_FGD = dict(normalize='fgd', feature_norm=None, alpha=0.001, beta=0.0005, gamma=0.001)
STREAM_MIB = 128  # of each of the three arrays, more than caches hold


def attention(feat: Tensor) -> tuple[Tensor, Tensor]:
    num_images, channels, height, width = feat.shape
    value = feat.abs().float()
    spatial = value.mean(dim=1).view(num_images, -1) / TEMPERATURE
    spatial = (height * width * spatial.softmax(dim=1)).view(num_images, 1, height, width)
    channel = value.mean(dim=(2, 3)) / TEMPERATURE
    return spatial, (channels * channel.softmax(dim=1))[..., None, None]


def published_loss(students, teachers, boxes) -> Tensor:
    """FGD's focal and attention loss (Yang et al., CVPR 2022) of all levels."""
    from ldwsccd_mmdet.models.losses import fgd_scale_masks

    total = students[0].new_zeros((), dtype=torch.float32)
    for student, teacher in zip(students, teachers, strict=True):
        num_images = len(student)
        masks = fgd_scale_masks(boxes, student.shape[2:], INPUT_SIZE)
        spatial_t, channel_t = attention(teacher)
        spatial_s, channel_s = attention(student)
        for weight, mask in zip((0.001, 0.0005), masks, strict=True):
            factors = [x.sqrt().to(student) for x in (spatial_t, channel_t, mask[:, None])]
            s, t = student, teacher
            for factor in factors:
                s, t = s * factor, t * factor
            total = total + weight * F.mse_loss(s.float(), t.float(), reduction='sum') / num_images
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


def make_step(side: str, inputs, levels):
    """Return a function that runs forward and backward once, and gives the loss."""
    students, teachers, boxes = inputs
    if side == FGD:

        def loss() -> Tensor:
            return published_loss(students, teachers, boxes)
    else:
        from ldwsccd_mmdet.models.losses import LocalDistillationLoss

        channels = [level[0] for level in levels]
        module = LocalDistillationLoss(channels, channels, **(AS_FGD if side == SAME else {}))

        def loss() -> Tensor:
            return sum(module(students, teachers, boxes, INPUT_SIZE).values())

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
    """Raise if ours, told to be FGD's loss, differs from it."""
    values, gradients = {}, {}
    for side in (SAME, FGD):
        values[side] = steps[side]()
        gradients[side] = clear_gradients(students)
    if not abs(values[SAME] - values[FGD]) <= rtol * abs(values[FGD]):
        raise AssertionError(f'the sides differ: {values}')
    for mine, theirs in zip(gradients[SAME], gradients[FGD], strict=True):
        error = (mine.float() - theirs.float()).norm() / theirs.float().norm()
        if not error <= rtol:
            raise AssertionError(f'the gradients differ by {error:.1e}')


def make_stream(device: str, mib: int):
    """A function that reads two arrays and writes a third, and what it moves, in bytes."""
    arrays = [torch.ones(mib << 18, device=device) for _ in range(3)]

    def stream() -> None:
        torch.add(arrays[0], arrays[1], out=arrays[2])
        if device != 'cpu':
            torch.cuda.synchronize()

    return stream, 3 * arrays[0].numel() * 4


def measure_time(
    steps: dict, students: list[Tensor], repetitions: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Wall and processor seconds of each side, turn by turn; a turn that warms up is left out."""
    seconds: dict[str, tuple[list[float], list[float]]] = {side: ([], []) for side in steps}
    for turn in range(-1, repetitions):
        for side, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            if turn >= 0:
                seconds[side][0].append(time.perf_counter() - wall)
                seconds[side][1].append(time.process_time() - processor)
            clear_gradients(students)
    return seconds


def memory_status(key: str) -> int:
    """Resident memory of this process in bytes: VmRSS now, VmHWM at its peak (Linux)."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def extra_peak_memory(spec: dict, side: str) -> int:
    """Peak bytes over inputs and gradients."""
    torch.set_num_threads(spec['threads'])
    levels, device = spec['levels'], spec['device']
    kind = (device, spec['layout'], spec['dtype'], spec['boxes'])
    # libraries get what they keep on a tiny problem first
    make_step(side, make_inputs([(8, 4)], 1, *kind), [(8, 4)])()
    inputs = make_inputs(levels, spec['batch'], *kind)
    step = make_step(side, inputs, levels)
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


def measure_mask(boxes: list[Tensor], levels, repetitions: int) -> float:
    """Median processor seconds of our masks of all levels."""
    from ldwsccd_mmdet.models.losses import foreground_mask

    seconds = []
    for _ in range(repetitions + 1):
        start = time.process_time()
        for _, size in levels:
            foreground_mask(boxes, (size, size), INPUT_SIZE)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[1:])


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--threads', type=int, default=torch.get_num_threads())
    add('--batch', type=int, nargs='+', default=[8])
    add('--repetitions', type=int, default=9)
    add('--device', default='cpu', help='cpu or cuda')
    add('--layout', nargs='+', default=['contiguous', 'channels_last'])
    add('--dtype', nargs='+', default=['float32', 'bfloat16'])
    add('--boxes', type=int, default=100, help='boxes an image')
    add('--all-levels-only', action='store_true', help='no level alone')
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    choices = [(LEVELS, 'all five')]
    if not args.all_levels_only:
        choices += [((level,), '{0}x{1}x{1}'.format(*level)) for level in LEVELS]
    rows: list[dict] = []
    with memory_process() as process:
        for (levels, name), layout, dtype, batch in itertools.product(
            choices, args.layout, args.dtype, args.batch
        ):
            spec = dict(
                levels=levels,
                batch=batch,
                device=args.device,
                layout=layout,
                dtype=dtype,
                boxes=args.boxes,
                threads=args.threads,
            )
            rows.append(measure(spec, name, args.repetitions, process))
            print(json.dumps(rows[-1]), flush=True)
            write(args.csv, rows, args)


def measure(spec: dict, name: str, repetitions: int, process: ProcessPoolExecutor) -> dict:
    memory = {side: process.submit(extra_peak_memory, spec, side).result() for side in (OURS, FGD)}
    levels = spec['levels']
    keys = ('batch', 'device', 'layout', 'dtype', 'boxes')
    inputs = make_inputs(levels, *(spec[key] for key in keys))
    steps = {side: make_step(side, inputs, levels) for side in (OURS, SAME, FGD)}
    check_equal(steps, inputs[0], rtol=1e-4 if spec['dtype'] == 'float32' else 3e-2)
    stream, moved = make_stream(spec['device'], STREAM_MIB)
    del steps[SAME]
    seconds = measure_time({**steps, 'stream': stream}, inputs[0], repetitions)
    mask = measure_mask(inputs[2], levels, repetitions)
    one_pass = sum(student.numel() * student.element_size() for student in inputs[0])
    passes = [PASSES * one_pass * value / moved for value in seconds['stream'][0]]
    median = statistics.median
    row: dict = dict(levels=name, **{key: spec[key] for key in ('layout', 'dtype', 'batch')})
    for clock, prefix in enumerate(('', 'cpu_')):
        ours, theirs = seconds[OURS][clock], seconds[FGD][clock]
        row[f'ours_{prefix}ms'] = round(1e3 * median(ours), 1)
        row[f'fgd_{prefix}ms'] = round(1e3 * median(theirs), 1)
        row[f'{prefix}time_ratio'] = round(ratio_in_turns(ours, theirs), 3)
    return row | dict(
        goal=GOALS[len(levels) == 1],
        ours_extra_mib=round(memory[OURS] / 2**20, 1),
        fgd_extra_mib=round(memory[FGD] / 2**20, 1),
        memory_ratio=round(memory[OURS] / memory[FGD], 3) if memory[FGD] else '',
        one_pass_mib=round(one_pass / 2**20, 2),
        passes=PASSES,
        bandwidth_gib_s=round(moved / median(seconds['stream'][0]) / 2**30, 2),
        passes_ms=round(1e3 * median(passes), 2),
        over_passes=round(ratio_in_turns(seconds[OURS][0], passes), 2),
        mask_cpu_ms=round(mask * 1e3, 2),
        mask_share=round(mask / median(seconds[OURS][1]), 4),
    )


def write(path: Path, rows: list[dict], args: argparse.Namespace) -> None:
    where = conditions(args.repetitions, args.threads, 1) | dict(
        machine=machine_name(args.device),
        boxes_per_image=args.boxes,
        command='python ' + shlex.join(['benchmarks/local_distillation.py', *sys.argv[1:]]),
    )
    write_csv(path, records([{**row, **where} for row in rows]))


if __name__ == '__main__':
    main()
