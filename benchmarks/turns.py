"""Time several models in turns, in one process: what the latency benchmarks share."""

import os
import platform
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def time_in_turns(
    calls: dict[str, Callable[[int], Any]], runs: int
) -> tuple[dict[str, list[float]], dict[str, list[Any]]]:
    """Milliseconds and results of each call, which gets the number of the round.

    All take turns, in random order, so that all see the same machine; two rounds warm up.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, list[Any]] = {name: [] for name in calls}
    order = list(calls)
    for run in range(-2, runs):
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
    cuts = statistics.quantiles(values, n=4, method='inclusive')
    return {k: round(v, 1) for k, v in zip(('p25_ms', median, 'p75_ms'), cuts, strict=True)}


def conditions(runs: int, threads: int, models: int) -> dict[str, Any]:
    """Columns of how and where it was measured."""
    return dict(
        runs=runs,
        threads=threads,
        models_in_process=models,
        torch=torch.__version__,
        machine=f'{platform.processor() or platform.machine()}, {os.cpu_count()} cores',
    )
