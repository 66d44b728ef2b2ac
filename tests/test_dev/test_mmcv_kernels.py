"""`dev/mmcv_kernels.py` without its compiler: what it compiles, and what it refuses."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location('mmcv_kernels', ROOT / 'dev' / 'mmcv_kernels.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_binding_names_each_operator_with_its_arguments(script, tmp_path):
    text = script.binding(tmp_path)
    for name, arguments in script.OPERATORS.items():
        (line,) = [row for row in text.splitlines() if f'm.def("{name}"' in row]
        assert [f'py::arg("{word}")' in line for word in arguments.split()].count(False) == 0
        assert f'&{name}' in line
    assert all(f'#include "{tmp_path / file}"' in text for file in script.FILES)


def test_keeps_a_folder_that_is_there(script, tmp_path):
    (tmp_path / 'mmcv').mkdir()
    with pytest.raises(SystemExit, match='expected nothing there, found a folder'):
        script.copy_of_mmcv(tmp_path)


def test_copies_mmcv(script, tmp_path):
    assert (script.copy_of_mmcv(tmp_path) / 'ops' / 'nms.py').is_file()
