"""What distillation adds to a training step beyond the student's step and the teacher's forward.

    python benchmarks/training_overhead.py --threads 2    # writes results/speed_training_step.csv

The steps are those of the shipped small configs, without MIL head, at their image size, with random
weights and images: the student's alone (forward, SSD loss, backward, optimizer), the teacher's
forward alone (backbone and neck), and the distilled one. Repetitions take turns in one process, and
medians count, as other work may share the cores; where it takes most of them, measure CPU time
(--clock cpu, with OMP_WAIT_POLICY=passive). Take 2 threads or more: on one, torch computes float32
1 x 1 convolutions of small batches by a slow path. The ratio is distilled / (student + teacher).
'inference' is the teacher under torch.inference_mode, whose maps the backward pass could not use,
instead of torch.no_grad.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

import ldwsccd_mmdet  # noqa: E402, F401
from ldwsccd_mmdet.csv_table import records, write_csv  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_training_step.csv'
CLOCKS = dict(wall=time.perf_counter, cpu=time.process_time)
# config, pixels a side, images a batch, boxes an image, side of a box: as its data set has them
CASES = (
    ('configs/ldwsccd/ssd512-narrow_ldm_cric.py', 512, 8, 24, 40),
    ('configs/ldwsccd/ldwsccd_ssd256-narrow_synthetic.py', 256, 8, 8, 40),
)


def build(path: str, folder: str) -> torch.nn.Module:
    """The distilled detector of a config, its teacher of random weights."""
    model_cfg = Config.fromfile(ROOT / path).model
    teacher_cfg = Config.fromfile(ROOT / model_cfg.teacher.config).model
    teacher_cfg.backbone.init_cfg = None
    teacher = MODELS.build(teacher_cfg)
    teacher.init_weights()
    checkpoint = f'{folder}/teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), checkpoint)
    model_cfg.update(mil_head=None)
    model_cfg.teacher.checkpoint = checkpoint
    model = MODELS.build(model_cfg)
    model.init_weights()
    return model.train()


def make_samples(size: int, images: int, boxes: int, side: int) -> list[DetDataSample]:
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


def sides(
    model: torch.nn.Module, x: torch.Tensor, samples: list[DetDataSample], bf16: bool
) -> dict[str, Callable[[], object]]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def autocast():
        return torch.autocast('cpu', torch.bfloat16) if bf16 else nullcontext()

    def step(losses: Callable[[], dict]) -> None:
        optimizer.zero_grad()
        with autocast():
            total, _ = model.parse_losses(losses())
        total.backward()
        optimizer.step()

    def teach(context: Callable) -> None:
        with context(), autocast():
            model.teacher.extract_feat(x, levels)

    model.loss(x[:1], samples[:1])  # pairs the levels
    levels = [teacher for _, teacher in model.level_pairs]
    return dict(
        student=lambda: step(lambda: model.student_loss(model.extract_feat(x), samples)),
        teacher=lambda: teach(torch.no_grad),
        inference=lambda: teach(torch.inference_mode),
        distilled=lambda: step(lambda: model.loss(x, samples)),
    )


def measure(
    runs: dict[str, Callable[[], object]], repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each side; the first turn warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: statistics.median(values[1:]) for name, values in seconds.items()}


def cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description='Overhead of distillation in a training step.')
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--batch', type=int, help="images (default: the config's)")
    parser.add_argument('--clock', choices=list(CLOCKS), default='wall', help='(default: wall)')
    parser.add_argument('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    register_all_modules()
    MMLogger.get_current_instance().setLevel('WARNING')
    rows = []
    for path, size, batch, boxes, side in CASES:
        batch = args.batch or batch
        for bf16 in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                model = build(path, folder)
            x = torch.randn(batch, 3, size, size) * 50
            if bf16:  # as CPUAmpOptimWrapper trains
                model.to(memory_format=torch.channels_last)
                x = x.contiguous(memory_format=torch.channels_last)
            samples = make_samples(size, batch, boxes, side)
            seconds = measure(sides(model, x, samples, bf16), args.repeats, CLOCKS[args.clock])
            ratio = seconds['distilled'] / (seconds['student'] + seconds['teacher'])
            rows.append(
                dict(
                    config=path,
                    size=size,
                    batch=batch,
                    precision='bfloat16' if bf16 else 'float32',
                    **{f'{name}_ms': round(1000 * value, 1) for name, value in seconds.items()},
                    ratio=round(ratio, 3),
                    clock=args.clock,
                    threads=args.threads,
                    repeats=args.repeats,
                    torch=torch.__version__,
                    cpu=cpu_name(),
                )
            )
            print(*(f'{key}={value}' for key, value in rows[-1].items()), flush=True)
    write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
