"""What a training step costs: mmdet's SSD, ours, and each part of the method on top, part by part.

    OMP_NUM_THREADS=2 python benchmarks/training_step.py    # writes results/speed_training_step.csv

All sides train one network (the narrow VGG of BCCD's config up to 256 pixels, of CRIC's above) with
the same random weights, images and boxes, with all that a step is: the images' normalisation,
forward pass, losses, backward pass, clipping and optimizer. 'mmdet' is how mmdet trains it:
`SSDHead`, `OptimWrapper`, float32, NCHW. The others are ours, as `ldwsccd train --amp` trains them
(on a CPU in channels_last, and in bfloat16 where that is faster: the column `precision`); 'ssd,
float32' is ours without --amp. 'teacher' is the forward pass of the teacher alone. 'mined' is
LD-WSCCD with as many boxes, of which a third may be cells (probability 0.7).

The sides take turns in one process, in random order. A ratio is the median of the ratios round by
round, which other work on the machine changes little. In rounds of their own, each step is told
apart: every part has its median time without the parts inside it, and `other_ms` is the rest. On a
GPU a part waits for the device, in those rounds only.

With --processes N the whole method is trained by N processes too (gloo, one device or an equal
share of the threads each), on the same batch cut in N.
"""

import argparse
import functools
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed
import torch.multiprocessing
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.structures import InstanceData
from torch import nn
from turns import conditions, quartiles, ratio_in_turns, time_in_turns

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.engine.config_file import TEACHING_PARTS, drop_teacher
from ldwsccd_mmdet.engine.optimizers.cpu_amp_optim_wrapper import faster_dtype

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_training_step.csv'
SMALL = 'configs/ldwsccd/ldwsccd_ssd256-narrow_bccd.py'
LARGE = 'configs/ldwsccd/ldwsccd_ssd512-narrow_cric.py'
BOXES, BOX_SIDE = 12, 40  # an image, pixels
PARTS = (
    'data',
    'student_forward',
    'student_loss',
    'proposals',
    'roi_features',
    'fully_connected',
    'seeds_and_losses',
    'teacher',
    'distillation',
    'backward',
    'optimizer',
    'other',
)


@dataclass(frozen=True)
class Side:
    """What trains: parts of the method, and how.

    Attributes:
        parts: Of 'teacher' and 'mil_head'.
        mixed: Mixed precision, else float32.
        stock: mmdet's own head.
        mined: Whether a third of the boxes may be cells.
        against: Sides whose summed time the ratio is taken to.
        goal: Of the ratio, at most.
    """

    parts: tuple[str, ...] = ()
    mixed: bool = True
    stock: bool = False
    mined: bool = False
    against: tuple[str, ...] = ()
    goal: float | None = None


BOTH = ('teacher', 'mil_head')
SIDES = {
    'mmdet': Side(mixed=False, stock=True),
    'ssd, float32': Side(mixed=False, against=('mmdet',)),
    'ssd': Side(against=('mmdet',), goal=0.33),
    'ldm': Side(('teacher',), against=('ssd', 'teacher'), goal=1.10),
    'mil': Side(('mil_head',), against=('ssd',), goal=1.20),
    'ldwsccd': Side(BOTH, against=('ssd', 'teacher')),
    'mined': Side(BOTH, mined=True, against=('ssd', 'teacher'), goal=1.30),
}


class Profile:
    """Milliseconds of each part of a step, without those of the parts inside it."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.on = False
        self.ms = dict.fromkeys(PARTS, 0.0)
        self._stack: list[str] = []
        self._since = 0.0

    def _charge(self) -> None:
        synchronize(self.device)
        now = time.perf_counter()
        if self._stack:
            self.ms[self._stack[-1]] += 1e3 * (now - self._since)
        self._since = now

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Charge what runs within to a part."""
        if not self.on:
            yield
            return
        self._charge()
        self._stack.append(name)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Charge a method of this one object to a part."""
        call = getattr(owner, method)

        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        setattr(owner, method, timed)

    def take(self) -> dict[str, float]:
        """Give the parts, and begin anew."""
        ms, self.ms = self.ms, dict.fromkeys(PARTS, 0.0)
        return ms


def synchronize(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def watch_parts(profile: Profile, model: nn.Module, optim: OptimWrapper) -> None:
    """Have a detector and its optimizer charge what they do to the parts."""
    watch = profile.watch
    watch(model.data_preprocessor, 'forward', 'data')
    watch(model, 'extract_feat', 'student_forward')
    watch(model.bbox_head, 'forward', 'student_forward')
    watch(model.bbox_head, 'loss_by_feat', 'student_loss')
    if getattr(model, 'mil_head', None) is not None:
        watch(model.bbox_head, 'propose', 'proposals')
        watch(model.mil_head, 'forward', 'fully_connected')
        watch(model.mil_head.bbox_roi_extractor, 'forward', 'roi_features')
        watch(model.mil_head, 'loss_by_feat', 'seeds_and_losses')
    if getattr(model, 'distillation', None) is not None:
        watch(model.teacher, 'extract_feat', 'teacher')
        watch(model.distillation, 'forward', 'distillation')
    watch(optim, 'backward', 'backward')
    watch(optim, 'step', 'optimizer')
    watch(optim, 'zero_grad', 'optimizer')


def config_of(size: int) -> Config:
    """The shipped config of LD-WSCCD for images of so many pixels a side."""
    config = Config.fromfile(ROOT / (SMALL if size <= 256 else LARGE))
    config.optim_wrapper.optimizer.lr = 1e-5  # weights, images and boxes are random
    return config


def make_teacher(config: Config, folder: str) -> None:
    """Write a teacher of random weights, and name it in the config."""
    teacher_cfg = Config.fromfile(ROOT / config.model.teacher.config).model
    teacher_cfg.backbone.init_cfg = None
    teacher = MODELS.build(teacher_cfg)
    teacher.init_weights()
    config.model.teacher.checkpoint = f'{folder}/teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), config.model.teacher.checkpoint)


def build(config: Config, side: Side, device: str) -> tuple[nn.Module, OptimWrapper]:
    """The detector of a side in training, and its optimizer."""
    config = Config(config.to_dict())
    model_cfg, optim_cfg = config.model, config.optim_wrapper
    for part in BOTH:
        if part not in side.parts:
            model_cfg[part] = None
    if 'teacher' not in side.parts:
        drop_teacher(model_cfg)
    if side.stock:
        model_cfg.type = 'SingleStageDetector'
        model_cfg.bbox_head.type = 'SSDHead'
        for key in (*TEACHING_PARTS, 'mil_head'):
            model_cfg.pop(key, None)
    if side.mixed:
        optim_cfg.type = 'CPUAmpOptimWrapper' if device == 'cpu' else 'AmpOptimWrapper'
    torch.manual_seed(0)
    model = MODELS.build(model_cfg)
    model.init_weights()
    model = model.to(device).train()
    return model, build_optim_wrapper(model, optim_cfg)


def make_samples(size: int, images: int, boxes: int, side: int) -> list[DetDataSample]:
    """Square images of ``size`` pixels with square boxes of ``side`` and one of six classes."""
    samples = []
    for _ in range(images):
        corner = torch.rand(boxes, 2) * (size - side)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(size, size),
                pad_shape=(size, size),
                batch_input_shape=(size, size),
                scale_factor=(1.0, 1.0),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + side], dim=1), labels=torch.randint(0, 6, (boxes,))
        )
        samples.append(sample)
    return samples


def make_batch(size: int, batch: int, classes: int, mined: bool) -> dict[str, list]:
    """A batch as a loader gives it."""
    torch.manual_seed(0)
    images = [torch.randint(0, 256, (3, size, size), dtype=torch.uint8) for _ in range(batch)]
    samples = make_samples(size, batch, BOXES, min(BOX_SIDE, size // 4))
    for sample in samples:
        sample.gt_instances.labels %= classes
        if mined:
            probs = torch.ones(BOXES)
            probs[::3] = 0.7
            sample.gt_instances.probs = probs
    return dict(inputs=images, data_samples=samples)


def make_steps(
    config: Config, size: int, batch: int, device: str, profile: Profile
) -> dict[str, Callable[[int], dict[str, float]]]:
    """A function for each side that runs a step and gives its parts."""
    classes = config.model.bbox_head.num_classes
    steps: dict[str, Callable[[int], dict[str, float]]] = {}

    def step(model: nn.Module, optim: OptimWrapper, data: dict, run: int) -> dict[str, float]:
        with profile.part('other'):
            model.train_step(data, optim)
        synchronize(device)
        return profile.take()

    for name, side in SIDES.items():
        model, optim = build(config, side, device)
        watch_parts(profile, model, optim)
        data = make_batch(size, batch, classes, side.mined)
        steps[name] = functools.partial(step, model, optim, data)
        if name == 'ldm':
            steps['teacher'] = teacher_step(model, optim, data, profile)
    return steps


def teacher_step(
    model: nn.Module, optim: OptimWrapper, data: dict, profile: Profile
) -> Callable[[int], dict[str, float]]:
    """A function that runs the teacher alone, as a step of its student does."""
    with optim.optim_context(model):  # lays the model out as a training does
        batch = model.data_preprocessor(data, True)
        model(**batch, mode='loss')  # pairs the levels
    levels = [level for _, level in model.level_pairs]

    def step(run: int) -> dict[str, float]:
        with optim.optim_context(model), profile.part('other'):
            model.teacher.extract_feat(batch['inputs'], levels)
        synchronize(profile.device)
        return profile.take()

    return step


def precision(side: Side, device: str) -> str:
    """The type in which a side computes: on a CPU --amp takes the faster one."""
    if not side.mixed:
        return 'float32'
    return faster_dtype() if device == 'cpu' else 'mixed'


def measure(size: int, args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """The rows of one size."""
    config = config_of(size)
    make_teacher(config, folder)
    profile = Profile(args.device)
    steps = make_steps(config, size, args.batch, args.device, profile)
    times, _ = time_in_turns(steps, args.steps)
    profile.on = True
    _, parts = time_in_turns(steps, max(args.steps // 3, 1), warm_up=0)
    where = conditions(args.steps, args.threads, len(SIDES))
    rows = []
    for name in steps:
        side = SIDES.get(name, Side(parts=('teacher',)))
        of_parts = {
            f'{part}_ms': round(statistics.median(step[part] for step in parts[name]), 1)
            for part in PARTS
        }
        ratio: Any = ''
        if side.against and set(side.against) <= set(times):
            ratio = round(ratio_in_turns(times[name], *(times[other] for other in side.against)), 3)
        rows.append(
            dict(
                size=size,
                side=name,
                precision=precision(side, args.device),
                batch=args.batch,
                **quartiles(times[name], 'step_ms'),
                ratio=ratio,
                against=' + '.join(side.against),
                goal=side.goal or '',
                **of_parts,
                device=args.device,
                **where,
            )
        )
    if args.processes > 1:
        row = next(row for row in rows if row['side'] == 'ldwsccd')
        rows.append(several_processes(config, size, args, row))
    return rows


def several_processes(
    config: Config, size: int, args: argparse.Namespace, one: dict[str, Any]
) -> dict[str, Any]:
    """The row of the whole method trained by several processes, against that of one."""
    with tempfile.TemporaryDirectory() as folder:
        job = (args.processes, config.to_dict(), size, args, f'{folder}/meet', f'{folder}/times')
        torch.multiprocessing.spawn(train_as_one_of, job, nprocs=args.processes)
        times = torch.load(f'{folder}/times', weights_only=True)
    row = {**one, **quartiles(times, 'step_ms'), **{f'{part}_ms': '' for part in PARTS}}
    ratio = round(row['step_ms'] / one['step_ms'], 3)
    side = f'ldwsccd, {args.processes} processes'
    return {**row, 'side': side, 'ratio': ratio, 'against': 'ldwsccd', 'goal': ''}


def train_as_one_of(
    rank: int, world: int, config: dict, size: int, args: argparse.Namespace, meet: str, out: str
) -> None:
    """Train some steps as one of several processes; the first writes their milliseconds."""
    prepare(max(args.threads // world, 1))
    device = args.device if args.device == 'cpu' else f'cuda:{rank % torch.cuda.device_count()}'
    torch.distributed.init_process_group('gloo', f'file://{meet}', rank=rank, world_size=world)
    model, optim = build(Config(config), SIDES['ldwsccd'], device)
    devices = None if device == 'cpu' else [device]
    wrapped = MMDistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
    batch = max(args.batch // world, 1)
    data = make_batch(size, batch, config['model']['bbox_head']['num_classes'], mined=False)
    times = []
    for run in range(-2, args.steps):
        torch.distributed.barrier()
        start = time.perf_counter()
        wrapped.train_step(data, optim)
        synchronize(device)
        if run >= 0:
            times.append(1e3 * (time.perf_counter() - start))
    if rank == 0:
        torch.save(times, out)
    torch.distributed.destroy_process_group()


def prepare(threads: int) -> None:
    torch.set_num_threads(threads)
    random.seed(0)
    register_all_modules()
    MMLogger.get_current_instance().setLevel('WARNING')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--size', type=int, nargs='+', default=[256, 512], help='pixels a side (default: 256 512)')
    add('--batch', type=int, default=8, help='images (default: 8)')
    add('--steps', type=int, default=9, help='rounds that count (default: 9)')
    add('--threads', type=int, default=2)
    add('--device', default='cpu', help='cpu (default) or cuda')
    add('--processes', type=int, default=1, help='of the method again, on the same batch')
    add('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    prepare(args.threads)
    rows: list[dict[str, Any]] = []
    for size in args.size:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(size, args, folder)
        for row in [row for row in rows if row['size'] == size]:
            print('{size} px, {side}: {step_ms} ms, ratio {ratio} (goal {goal})'.format(**row))
        write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
