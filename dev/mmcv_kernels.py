"""Compile the few operators of mmcv that have a twin in plain torch, to compare both.

    python dev/mmcv_kernels.py .kernels
    PYTHONPATH=.kernels:. python -m pytest tests/test_ops
    PYTHONPATH=.kernels:. python benchmarks/operators.py

All of mmcv is 77 files and many minutes; NMS, soft-NMS and RoIAlign for the CPU are five, and take
three. The folder gets a copy of the mmcv-lite of this Python with these operators beside it; any
other operator says that it was not compiled. Needs a C++ compiler, Python's headers and pip's index
(for mmcv's sources), or `--sources`, a folder that holds them.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

VERSION = '2.1.0'
FILES = ('nms.cpp', 'cpu/nms.cpp', 'roi_align.cpp', 'cpu/roi_align.cpp')
OPERATORS = {
    'nms': 'boxes scores iou_threshold offset',
    'softnms': 'boxes scores dets iou_threshold sigma min_score method offset',
    'roi_align_forward': 'input rois output argmax_y argmax_x aligned_height aligned_width '
    'spatial_scale sampling_ratio pool_mode aligned',
    'roi_align_backward': 'grad_output rois argmax_y argmax_x grad_input aligned_height '
    'aligned_width spatial_scale sampling_ratio pool_mode aligned',
}
OTHERS = """
  m.attr("__getattr__") = py::cpp_function([](const std::string& name) -> py::object {
    if (name.rfind("__", 0) == 0) throw py::attribute_error(name);
    return py::cpp_function([name](py::args, py::kwargs) {
      throw std::runtime_error(name + " was not compiled by dev/mmcv_kernels.py");
    });
  });
"""


def binding(sources: Path) -> str:
    """The one file that is compiled: mmcv's sources, and the operators' names for Python."""
    lines = ['#include <torch/extension.h>']
    lines += [f'#include "{sources / file}"' for file in FILES]
    lines += ['PYBIND11_MODULE(_ext, m) {', OTHERS]
    for name, arguments in OPERATORS.items():
        named = ''.join(f', py::arg("{argument}")' for argument in arguments.split())
        lines.append(f'  m.def("{name}", &{name}{named});')
    return '\n'.join([*lines, '}\n'])


def fetch(folder: Path) -> Path:
    """Download and unpack mmcv's sources."""
    command = [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '--no-build-isolation']
    command += ['--no-binary', 'mmcv', f'mmcv=={VERSION}', '-d', str(folder)]
    subprocess.run(command, check=True)
    (archive,) = folder.glob('mmcv-*.tar.gz')
    with tarfile.open(archive) as files:
        files.extractall(folder, filter='data')
    return folder / f'mmcv-{VERSION}'


def compile_kernels(sources: Path, package: Path) -> Path:
    """Compile into a copy of mmcv-lite; returns the library."""
    from torch.utils import cpp_extension

    csrc = sources.resolve() / 'mmcv' / 'ops' / 'csrc'
    library = package / f'_ext{sysconfig.get_config_var("EXT_SUFFIX")}'
    includes = [csrc, csrc / 'common', csrc / 'pytorch', sysconfig.get_path('include')]
    includes += cpp_extension.include_paths()
    (torch_libraries,) = {path for path in cpp_extension.library_paths() if 'torch' in path}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / 'kernels.cpp'
        source.write_text(binding(csrc / 'pytorch'), encoding='utf-8')
        command = [os.environ.get('CXX', 'g++'), '-O3', '-std=c++20', '-fPIC', '-shared', '-w']
        command += ['-DTORCH_EXTENSION_NAME=_ext', *(f'-I{path}' for path in includes)]
        command += [str(source), '-o', str(library), f'-L{torch_libraries}']
        subprocess.run([*command, '-ltorch', '-ltorch_cpu', '-lc10', '-ltorch_python'], check=True)
    return library


def copy_of_mmcv(folder: Path) -> Path:
    """Copy this Python's mmcv-lite into the folder."""
    spec = importlib.util.find_spec('mmcv')
    if spec is None or spec.origin is None:
        raise SystemExit('mmcv: expected mmcv-lite in this Python, found none: `make env` first')
    package = folder / 'mmcv'
    if package.exists():
        raise SystemExit(f'{package}: expected nothing there, found a folder: remove it first')
    shutil.copytree(Path(spec.origin).parent, package)
    return package


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='gets mmcv with these operators')
    parser.add_argument('--sources', type=Path, help=f'unpacked sources of mmcv {VERSION}')
    args = parser.parse_args()
    package = copy_of_mmcv(args.folder)
    with tempfile.TemporaryDirectory() as folder:
        print('compiling NMS, soft-NMS and RoIAlign: some minutes', flush=True)
        print(compile_kernels(args.sources or fetch(Path(folder)), package))


if __name__ == '__main__':
    main()
