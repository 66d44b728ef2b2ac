"""Text files are read within bounds of length and memory, in the encodings that tools write."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from ldwsccd_mmdet.errors import DatasetError
from ldwsccd_mmdet.regular_files import read_text


@pytest.mark.parametrize('content', [b'', b'one\ntwo\n'])
def test_a_generous_bound_takes_no_memory(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'a.txt').write_bytes(content)
    tracemalloc.start()
    try:
        assert read_text(tmp_path / 'a.txt', most=1 << 33) == content.decode()
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_reads_what_is_longer_than_a_chunk_and_not_beyond_the_bound(tmp_path: Path) -> None:
    text = 'cell\n' * 2_000_000
    (tmp_path / 'a.txt').write_text(text, encoding='ascii')
    assert read_text(tmp_path / 'a.txt', most=len(text)) == text
    with pytest.raises(DatasetError, match=f'longer than {len(text) - 1:,} bytes'):
        read_text(tmp_path / 'a.txt', most=len(text) - 1)


def test_reads_files_of_proc_whose_size_is_said_to_be_0() -> None:
    if not Path('/proc/self/status').is_file():
        pytest.skip('no /proc on this system')
    assert 'VmPeak' in read_text('/proc/self/status')


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-16-be'])
def test_reads_the_encodings_of_other_tools(tmp_path: Path, encoding: str) -> None:
    (tmp_path / 'a.txt').write_text('ASC-US\nHSIL\n', encoding=encoding)
    assert read_text(tmp_path / 'a.txt') == 'ASC-US\nHSIL\n'
