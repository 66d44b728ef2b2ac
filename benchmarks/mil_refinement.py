"""Time of the MIL losses and their gradients: a batch at once, against one image and class a time.

    python benchmarks/mil_refinement.py    # writes results/speed_mil_refinement.csv

Both sides get the same logits, regions and image labels, and compute eq. 15 and K stages of eq. 16
forward and backward. The yardstick does what OICR's published code does, written anew from its
description: one image at a time; the scores go to numpy; for each class present the best region is
taken from a copy of the scores; overlaps in float64; one-hot targets; the logarithm of the softmax.
Runs alternate, so that both see the same machine; medians of wall and of processor time: where
other work takes the cores, trust the latter.
"""

import argparse
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.models.roi_heads.mil_refinement_head import MILRefinementHead, RegionLogits

EPS = 1e-6
CSV = Path(__file__).resolve().parents[1] / 'results' / 'speed_mil_refinement.csv'


def numpy_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU (R, S) of float64 boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a = np.prod(a[:, 2:] - a[:, :2], axis=1)
    area_b = np.prod(b[:, 2:] - b[:, :2], axis=1)
    return inter / (area_a[:, None] + area_b[None, :] - inter)


def targets_of_one_image(
    bboxes: np.ndarray, scores: np.ndarray, image_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights of one image's regions, class after class."""
    num_classes = len(image_labels)
    scores = scores[:, :num_classes].copy()
    seeds, labels, weights = np.zeros((0, 4)), np.zeros((0, 1), int), np.zeros((0, 1))
    for c in range(num_classes):
        if image_labels[c] == 1:
            of_class = scores[:, c].copy()
            best = np.argmax(of_class)
            seeds = np.vstack((seeds, bboxes[best].reshape(1, -1)))
            labels = np.vstack((labels, c * np.ones((1, 1), int)))
            weights = np.vstack((weights, of_class[best] * np.ones((1, 1))))
            scores[best, :] = 0
    overlaps = numpy_iou(np.ascontiguousarray(bboxes, np.float64), seeds)
    assignment = overlaps.argmax(axis=1)
    region_labels, region_weights = labels[assignment, 0], weights[assignment, 0]
    region_labels[np.where(overlaps.max(axis=1) < 0.5)[0]] = num_classes
    return region_labels, region_weights


def loss_of_one_image(
    cls_logits: Tensor, det_logits: Tensor, stages: list[Tensor], bboxes: Tensor, y: Tensor
) -> Tensor:
    scores = cls_logits.softmax(dim=1) * det_logits.softmax(dim=0)
    mu = scores.sum(dim=0).clamp(EPS, 1 - EPS)
    loss = -(y * mu.log() + (1 - y) * (1 - mu).log()).mean()
    for logits in stages:
        labels, weights = targets_of_one_image(bboxes.numpy(), scores.detach().numpy(), y.numpy())
        one_hot = np.eye(logits.shape[1], dtype=np.float32)[labels]
        target = torch.from_numpy(one_hot * weights[:, None].astype(np.float32))
        scores = logits.softmax(dim=1)
        loss = loss - (target * (scores + EPS).log()).sum() / len(logits)
    return loss


def yardstick(cls_logits, det_logits, stages, bboxes, image_labels) -> Tensor:
    num_images = len(bboxes)
    losses = [
        loss_of_one_image(
            cls_logits[i], det_logits[i], [stage[i] for stage in stages], bboxes[i], image_labels[i]
        )
        for i in range(num_images)
    ]
    return sum(losses) / num_images


def make_head(num_classes: int, num_stages: int) -> MILRefinementHead:
    # only its losses run: the layers may be tiny
    return MILRefinementHead(
        num_classes,
        dict(
            type='SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=1),
            out_channels=1,
            featmap_strides=[8],
        ),
        num_stages,
        fc_out_channels=1,
    )


def make_data(images: int, regions: int, classes: int, stages: int, present: int):
    centre = torch.rand(images, regions, 2) * 512
    half = 8 + torch.rand(images, regions, 2) * 40
    bboxes = torch.cat([centre - half, centre + half], dim=2)
    logits = [torch.randn(images, regions, classes) for _ in range(2)]
    logits += [torch.randn(images, regions, classes + 1) for _ in range(stages)]
    image_labels = torch.zeros(images, classes)
    image_labels.scatter_(1, torch.rand(images, classes).argsort(dim=1)[:, :present], 1.0)
    return bboxes, [x.requires_grad_() for x in logits], image_labels


def timed(loss_of, logits: list[Tensor]) -> tuple[float, float, Tensor, Tensor]:
    """Wall and processor time, loss and gradient."""
    for x in logits:
        x.grad = None
    start, cpu_start = time.perf_counter(), time.process_time()
    loss = loss_of()
    loss.backward()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    return wall, cpu, loss.detach(), torch.cat([x.grad.flatten() for x in logits])


def measure(
    head: MILRefinementHead, regions: int, present: int, args: argparse.Namespace
) -> dict[str, Any]:
    """One row: both sides in turns, after their losses and gradients were seen to agree."""
    bboxes, logits, y = make_data(args.images, regions, args.classes, args.stages, present)

    def ours() -> Tensor:
        flat = [x.flatten(0, 1) for x in logits]
        outputs = RegionLogits(flat[0], flat[1], flat[2:], [])
        return sum(head.loss_by_feat(outputs, list(bboxes), y).values())

    def theirs() -> Tensor:
        return yardstick(logits[0], logits[1], logits[2:], bboxes, y)

    times = []
    for _ in range(args.runs + 3):
        *loop, loop_loss, loop_grad = timed(theirs, logits)
        *batch, batch_loss, batch_grad = timed(ours, logits)
        times.append((*loop, *batch))
    torch.testing.assert_close(batch_loss, loop_loss, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(batch_grad, loop_grad, rtol=1e-3, atol=1e-4)
    columns = zip(*times[3:], strict=True)
    loop_ms, loop_cpu, batch_ms, batch_cpu = (1e3 * statistics.median(x) for x in columns)
    return dict(
        images=args.images,
        regions=regions,
        classes=args.classes,
        classes_present=present,
        stages=args.stages,
        loop_ms=round(loop_ms, 2),
        batch_ms=round(batch_ms, 2),
        ratio=round(batch_ms / loop_ms, 3),
        loop_cpu_ms=round(loop_cpu, 2),
        batch_cpu_ms=round(batch_cpu, 2),
        cpu_ratio=round(batch_cpu / loop_cpu, 3),
        runs=args.runs,
        threads=args.threads,
        torch=torch.__version__,
        machine=platform.processor() or platform.machine(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--images', type=int, default=10)
    parser.add_argument('--regions', type=int, nargs='+', default=[2000])
    parser.add_argument('--classes', type=int, default=11)
    parser.add_argument('--present', type=int, nargs='+', default=[1, 3, 11])
    parser.add_argument('--stages', type=int, default=3)
    parser.add_argument('--runs', type=int, default=30)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--csv', type=Path, default=CSV, help='(default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    head = make_head(args.classes, args.stages)
    rows = []
    for regions in args.regions:
        for present in args.present:
            row = measure(head, regions, present, args)
            rows.append(row)
            print(row)
    write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
