"""A step of the head that the benchmark measures runs, whatever the chunk."""

import importlib.util
from pathlib import Path

import pytest
import torch

PATH = Path(__file__).parents[2] / 'benchmarks' / 'region_memory.py'


@pytest.mark.parametrize('chunk', [None, 8])
def test_measures_a_step(chunk):
    """In this process, where a peak of memory means nothing but is a number."""
    spec = importlib.util.spec_from_file_location('region_memory_benchmark', PATH)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    threads = torch.get_num_threads()
    row = benchmark.measure(12, 2, chunk, boxes=3, threads=threads, small=True)
    assert (row['regions'], row['batch'], row['roi_chunk_size']) == (12, 2, chunk)
    assert row['extra_peak_mib'] >= 0
