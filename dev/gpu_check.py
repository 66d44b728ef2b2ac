"""Everything there is to know of a GPU, in one command of under 9 minutes, without network.

    python dev/gpu_check.py                         # writes results/gpu_checks.csv, gpu_speed.csv
    python dev/gpu_check.py --device cpu --small    # the same paths on a CPU, tiny

Where the package is not installed: `PYTHONPATH=. python dev/gpu_check.py`.

1. The tests marked `gpu`.
2. CPU against GPU: each operator in plain torch, the losses and gradients of a training step.
3. A training step under AMP, in float16 (with loss scaling) and bfloat16.
4. Two processes on one card: the gradients of DDP are those of one process.
5. Speed: a distilled step, the whole method's step at 512 px (images a second, memory, and the
   hours of the paper's 120 epochs of 6,666 images), and prediction.

Weights and images are random. A failed check is a row of the table, and exit code 1.
"""

from __future__ import annotations

import argparse
import copy
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.ops import OPERATORS

ROOT = Path(__file__).resolve().parents[1]

FULL = ('configs/ldwsccd_ssd512.py', 512, 16)
SMALL = ('configs/ldwsccd/ldwsccd_ssd256-narrow_synthetic.py', 256, 2)
EPOCHS, IMAGES = 120, 6666  # the paper's schedule, on the public split
TIMEOUT = 150  # seconds that the tests may take


# ---------------------------------------------------------------- models and data


def build(path: str, folder: str, with_mil: bool) -> nn.Module:
    """The detector of a config, its teacher of random weights."""
    from mmdet.registry import MODELS
    from mmengine.config import Config

    model_cfg = Config.fromfile(ROOT / path).model
    teacher_cfg = Config.fromfile(ROOT / model_cfg.teacher.config).model
    for cfg in (model_cfg, teacher_cfg):
        cfg.backbone.init_cfg = None
    teacher = MODELS.build(teacher_cfg)
    teacher.init_weights()
    model_cfg.teacher.checkpoint = f'{folder}/teacher.pth'
    torch.save(dict(state_dict=teacher.state_dict()), model_cfg.teacher.checkpoint)
    if not with_mil:
        model_cfg.update(mil_head=None)
    model = MODELS.build(model_cfg)
    model.init_weights()
    return model.train()


def make_batch(size: int, images: int, device: str) -> tuple[Tensor, list[DetDataSample]]:
    sys.path.append(str(ROOT / 'benchmarks'))  # scripts, not a package
    from training_step import make_samples

    samples = make_samples(size, images, boxes=8, side=40)
    for sample in samples:
        sample.gt_instances.labels %= 3  # the classes of the small config
    x = torch.randn(images, 3, size, size)
    return x.to(device), [sample.to(device) for sample in samples]


def synchronize(device: str) -> None:
    if device.startswith('cuda'):
        torch.cuda.synchronize()


def check(name: str, detail: str, value: float, limit: float) -> dict[str, Any]:
    row = dict(check=name, detail=detail, value=f'{value:.3g}', limit=limit, passed=value <= limit)
    print(row, flush=True)
    return row


# ---------------------------------------------------------------- checks


def run_tests(device: str) -> list[dict[str, Any]]:
    command = [sys.executable, '-m', 'pytest', '-q', '-m', 'gpu', '-p', 'no:cacheprovider', 'tests']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT)
    last = (done.stdout.strip().splitlines() or ['no output'])[-1]
    return [check('tests', last, done.returncode, 0)]


def operator_calls(device: str) -> dict[str, list[Tensor]]:
    """What each operator gives on the device, for inputs that do not depend on it."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator).to(device)

    corner, side = random(300, 2) * 200, random(300, 2) * 60
    boxes, scores = torch.cat([corner, corner + side], dim=1), random(300)
    image = (torch.arange(300, device=device) % 2)[:, None].float()
    rois, maps = torch.cat([image, boxes], dim=1), random(2, 16, 32, 32) - 0.5
    results = {'nms': [OPERATORS['nms'](boxes, scores, iou_threshold=0.5, offset=0).float()]}
    for mode in (0, 1):
        out, grad = maps.new_zeros(300, 16, 7, 7), torch.zeros_like(maps)
        argmax = [maps.new_zeros(out.shape if mode == 0 else 0) for _ in range(2)]
        options = dict(aligned_height=7, aligned_width=7, spatial_scale=0.125)
        options |= dict(sampling_ratio=0, pool_mode=mode, aligned=True)
        OPERATORS['roi_align_forward'](maps, rois, out, *argmax, **options)
        OPERATORS['roi_align_backward'](torch.ones_like(out), rois, *argmax, grad, **options)
        results[f'roi_align, {("max", "mean")[mode]}'] = [out, grad]
    out, grad = maps.new_zeros(300, 16, 7, 7), torch.zeros_like(maps)
    argmax = torch.zeros(out.shape, dtype=torch.int, device=device)
    options = dict(pooled_height=7, pooled_width=7, spatial_scale=0.125)
    OPERATORS['roi_pool_forward'](maps, rois, out, argmax, **options)
    OPERATORS['roi_pool_backward'](torch.ones_like(out), rois, argmax, grad, **options)
    results['roi_pool'] = [out, grad]
    logits, target = random(300, 4) * 8 - 4, torch.arange(300, device=device) % 5
    for name in ('sigmoid_focal_loss_forward', 'sigmoid_focal_loss_backward'):
        out = torch.zeros_like(logits)
        OPERATORS[name](logits, target, logits.new_empty(0), out, gamma=2.0, alpha=0.25)
        results[name] = [out]
    return results


def operator_parity(device: str) -> list[dict[str, Any]]:
    found, expected = operator_calls(device), operator_calls('cpu')
    return [
        check('operator, CPU against device', name, max(map(difference, found[name], values)), 1e-4)
        for name, values in expected.items()
    ]


def difference(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float('inf')
    return float((found.cpu() - expected).abs().max()) if expected.numel() else 0.0


def one_step(
    model: nn.Module, x: Tensor, samples: list[DetDataSample], dtype: torch.dtype | None = None
) -> tuple[dict[str, float], list[Tensor]]:
    """Losses and gradients of a step; with float16 the loss is scaled, as AMP does."""
    torch.manual_seed(0)  # dropout
    model.zero_grad()
    scale = 1024.0 if dtype is torch.float16 else 1.0
    with torch.autocast(x.device.type, dtype, enabled=dtype is not None):
        losses = getattr(model, 'module', model).loss(x, samples)
        total, log = getattr(model, 'module', model).parse_losses(losses)
    (total * scale).backward()
    grads = [p.grad.detach() / scale for p in model.parameters() if p.grad is not None]
    return {name: float(value.detach()) for name, value in log.items()}, grads


def step_checks(
    model: nn.Module, x: Tensor, samples: list[DetDataSample], device: str
) -> list[dict[str, Any]]:
    """The same step on CPU and device in float32, then on the device under AMP."""
    model.eval()  # without dropout, whose random numbers differ by device
    expected, expected_grads = one_step(model.cpu(), x.cpu(), [s.cpu() for s in samples])
    moved = model.to(device)
    found, grads = one_step(moved, x, [s.to(device) for s in samples])
    rows = [
        check('loss, CPU against device', name, abs(found[name] - value) / (abs(value) + 1), 1e-3)
        for name, value in expected.items()
    ]
    norm = sum(float(g.norm()) ** 2 for g in expected_grads) ** 0.5
    apart = sum(
        float((a.cpu() - b.cpu()).norm()) ** 2 for a, b in zip(grads, expected_grads, strict=True)
    )
    rows.append(check('gradient, CPU against device', 'norm', apart**0.5 / norm, 1e-2))
    moved.train()
    types = (torch.bfloat16, torch.float16) if device != 'cpu' else (torch.bfloat16,)
    for dtype in types:
        log, grads = one_step(moved, x, samples, dtype)
        bad = sum(int(not torch.isfinite(g).all()) for g in grads)
        bad += sum(int(value != value) for value in log.values())
        rows.append(check('AMP step', f'{dtype}: losses and gradients not finite', bad, 0))
    return rows


def two_processes(device: str, path: str, size: int) -> list[dict[str, Any]]:
    """DDP of two processes that share the card (gloo: NCCL refuses that)."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    shared = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), LOCAL_RANK='0')
    command = [sys.executable, __file__, '--device', device, '--rank-of', path, str(size)]
    processes = [
        subprocess.Popen(command, env={**os.environ, **shared, 'RANK': str(rank)})
        for rank in range(2)
    ]
    codes: list[int] = []
    for process in processes:
        try:
            codes.append(process.wait(timeout=TIMEOUT))
        except subprocess.TimeoutExpired:
            process.kill()
            codes.append(124)
    return [check('two processes on one card', f'exit codes {codes}', sum(map(abs, codes)), 0)]


def be_a_rank(device: str, path: str, size: int) -> int:
    """One of the two processes: each has its own batch; gradients must be the mean of both."""
    torch.distributed.init_process_group('gloo')
    rank = torch.distributed.get_rank()
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = build(path, folder, with_mil=False).to(device).eval()
    alone, batches = copy.deepcopy(model), [make_batch(size, 1, device) for _ in range(2)]
    wrapped = nn.parallel.DistributedDataParallel(Losses(model))
    wrapped(*batches[rank]).backward()
    sums = [Losses(alone)(*batch) for batch in batches]
    ((sums[0] + sums[1]) / 2).backward()
    pairs = zip(model.parameters(), alone.parameters(), strict=True)
    apart = max(difference(a.grad, b.grad.cpu()) for a, b in pairs if b.grad is not None)
    print(f'rank {rank}: gradients differ by {apart:.2g}', flush=True)
    torch.distributed.destroy_process_group()
    return int(not apart < 1e-3)


class Losses(nn.Module):
    """The sum of a detector's losses as the output of `forward`, which is what DDP wraps."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, x: Tensor, samples: list[DetDataSample]) -> Tensor:
        return self.detector.parse_losses(self.detector.loss(x, samples))[0]


# ---------------------------------------------------------------- speed


def timed(run: Callable[[], object], device: str, repeats: int) -> tuple[float, float]:
    """Median milliseconds of a call after a warm-up, and the most memory it held, MiB."""
    run()
    synchronize(device)
    if device.startswith('cuda'):
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    held = torch.cuda.max_memory_allocated() / 2**20 if device.startswith('cuda') else 0.0
    return 1e3 * statistics.median(seconds), held


def speeds(
    models: dict[str, nn.Module], batch: tuple[Tensor, list[DetDataSample]], device: str, n: int
) -> list[dict[str, Any]]:
    x, samples = batch
    name = torch.cuda.get_device_name() if device.startswith('cuda') else 'CPU'
    runs: dict[tuple[str, str], Callable[[], object]] = {}
    for part, model in models.items():
        model.to(device).train()
        optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-5)
        for dtype in (None, torch.bfloat16):

            def step(model=model, optimizer=optimizer, dtype=dtype) -> None:
                one_step(model, x, samples, dtype)
                optimizer.step()

            runs[part, str(dtype or torch.float32)[6:]] = step
    rows = []
    for (part, dtype), run in runs.items():
        ms, held = timed(run, device, n)
        rows.append(speed_row(part, dtype, len(x), ms, held, name, trains=True))
    model = models['LD-WSCCD step'].eval()
    with torch.no_grad():
        for images in (1, len(x)):
            ms, held = timed(lambda k=images: model.predict(x[:k], samples[:k]), device, n)
            rows.append(speed_row('prediction', 'float32', images, ms, held, name, trains=False))
    return rows


def speed_row(
    what: str, dtype: str, images: int, ms: float, held: float, device: str, trains: bool
) -> dict[str, Any]:
    hours = EPOCHS * IMAGES / images * ms / 3.6e6
    row = dict(
        what=what,
        dtype=dtype,
        images=images,
        ms=round(ms, 2),
        images_per_s=round(1e3 * images / ms, 1),
        memory_mib=round(held),
        hours_of_120_epochs=round(hours, 2) if trains else '',
        device=device,
        torch=torch.__version__,
    )
    print(row, flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', default='cuda', help='(default: %(default)s)')
    parser.add_argument('--small', action='store_true', help='a narrow network, few images')
    parser.add_argument('--no-tests', action='store_true', help='leave out the tests marked gpu')
    parser.add_argument('--out', type=Path, default=ROOT / 'results', help='folder of the CSVs')
    parser.add_argument('--rank-of', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device.startswith('cuda') and not torch.cuda.is_available():
        parser.error('torch sees no GPU; `--device cpu --small` tries the same on the CPU')
    register_all_modules()
    MMLogger.get_instance('mmengine', log_level='ERROR')
    if args.rank_of:
        return be_a_rank(args.device, args.rank_of[0], int(args.rank_of[1]))
    torch.manual_seed(0)
    path, size, images = SMALL if args.small else FULL
    rows = [] if args.no_tests else run_tests(args.device)
    rows += operator_parity(args.device)
    with tempfile.TemporaryDirectory() as folder:
        models = {
            'distilled step': build(path, folder, with_mil=False),
            'LD-WSCCD step': build(path, folder, with_mil=True),
        }
        batch = make_batch(size, 2, args.device)
        # TF32 would differ from the CPU by its ten bits; the speeds below may use it
        torch.backends.cudnn.allow_tf32 = False
        rows += step_checks(models['LD-WSCCD step'], *batch, args.device)
        torch.backends.cudnn.allow_tf32 = True
        rows += two_processes(args.device, SMALL[0], SMALL[1])
        write_csv(args.out / 'gpu_checks.csv', records(rows))
        batch = make_batch(size, images, args.device)
        speed = speeds(models, batch, args.device, 2 if args.small else 20)
        write_csv(args.out / 'gpu_speed.csv', records(speed))
    failed = [row for row in rows if not row['passed']]
    print(f'{len(rows) - len(failed)} checks passed, {len(failed)} failed')
    return int(bool(failed))


if __name__ == '__main__':
    sys.exit(main())
