"""Time several models in turns, in one process: what the latency benchmarks share."""

import argparse
import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def parse_timed(parser: argparse.ArgumentParser, csv: Path) -> argparse.Namespace:
    """Parse with the arguments of all that times models in turns; sets threads and seed."""
    parser.add_argument('--runs', type=int, default=50)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--csv', type=Path, default=csv, help='(default: %(default)s)')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random.seed(0)
    return args


def time_in_turns(
    calls: dict[str, Callable[[int], Any]], runs: int, warm_up: int = 2
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Milliseconds and results of each call, which gets the number of the round.

    All take turns, in random order, so that all see the same machine, after rounds that warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, list[Any]] = {name: [] for name in calls}
    order = list(calls)
    for run in range(-warm_up, runs):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            result = calls[name](run)
            if run >= 0:
                times[name].append(1e3 * (time.perf_counter() - start))
                results[name].append(result)
    return times, results


def quartiles(values: list[float], median: str = 'latency_ms') -> dict[str, float]:
    """Columns of the quartiles, the median under the name that is given."""
    # one value is all its own quartiles
    cuts = statistics.quantiles(values if len(values) > 1 else values * 2, n=4, method='inclusive')
    return {k: round(v, 1) for k, v in zip(('p25_ms', median, 'p75_ms'), cuts, strict=True)}


def ratio_in_turns(times: list[float], *others: list[float]) -> float:
    """Median over the rounds of a time over the sum of the others' in the same round."""
    rounds = zip(times, *others, strict=True)
    return statistics.median(own / sum(rest) for own, *rest in rounds)


def conditions(runs: int, threads: int, models: int) -> dict[str, Any]:
    """Columns of how and where it was measured."""
    return dict(
        runs=runs,
        threads=threads,
        models_in_process=models,
        torch=torch.__version__,
        machine=machine_name(),
        load=round(os.getloadavg()[0], 1),
    )


def machine_name(device: str = 'cpu') -> str:
    """Name of the processor and its number of cores, or of the GPU."""
    if device != 'cpu':
        return str(torch.cuda.get_device_name())
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return f'{names[0] if names else platform.machine()}, {os.cpu_count()} cores'
