"""Package metadata, and the `.mim` folder that OpenMMLab's tools look for."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'ldwsccd_mmdet'
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[co]', '.*')


class BuildPyWithMim(build_py):
    """Puts `configs`, `tools` and `model-index.yml` into `ldwsccd_mmdet/.mim`.

    A wheel gets copies. An editable install gets links in the source tree, so that an edited
    config is the one that is found.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            self._fill(ROOT / PACKAGE / '.mim', link=True)
        else:
            self._fill(Path(self.build_lib) / PACKAGE / '.mim', link=False)

    @staticmethod
    def _fill(mim: Path, link: bool) -> None:
        if mim.is_dir():
            shutil.rmtree(mim)  # removes links, never what they point to
        mim.mkdir(parents=True)
        for part in MIM_PARTS:
            source, target = ROOT / part, mim / part
            if not source.exists():
                continue
            if link:
                try:
                    target.symlink_to(os.path.relpath(source, mim))
                    continue
                except OSError:  # a file system without symbolic links: copy
                    pass
            if source.is_dir():
                shutil.copytree(source, target, ignore=IGNORED)
            else:
                shutil.copy2(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        if not self.editable_mode:
            mim = Path(self.build_lib) / PACKAGE / '.mim'
            outputs += [str(path) for path in mim.rglob('*') if path.is_file()]
        return outputs


def read_version() -> str:
    text = (ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8')
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if match is None:
        raise RuntimeError(f'{PACKAGE}/version.py: expected a line __version__ = "X.Y.Z"')
    return match.group(1)


def read_readme() -> str:
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


setup(
    name=PACKAGE,
    version=read_version(),
    description='LD-WSCCD for MMDetection: cervical cell detection from noisy labels by '
    'local distillation and a multiple-instance head',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=[
        'object detection',
        'weakly supervised learning',
        'knowledge distillation',
        'cervical cytology',
        'mmdetection',
    ],
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Recognition',
        'Typing :: Typed',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={PACKAGE: ['py.typed', '*/templates/*', '*/*/templates/*']},
    include_package_data=False,
    cmdclass={'build_py': BuildPyWithMim},
    python_requires='>=3.10',
    install_requires=[
        'torch>=2.4',  # torch.serialization.add_safe_globals
        'mmdet>=3.3,<4',
        'mmengine>=0.10.4,<1',
        'mmcv>=2.0.0rc4,<2.2',  # the range that mmdet 3.3 accepts
        'setuptools<82',  # mmengine imports pkg_resources at run time
        'numpy',
        'scipy',
        'pycocotools',
        'matplotlib',
        'jinja2>=3',
        'rich>=13',
    ],
    extras_require={
        'dev': ['ruff', 'mypy', 'pytest', 'wheel'],
        'faster': ['faster-coco-eval>=1.6,<2'],  # a backend of CytologyMetric
    },
    zip_safe=False,
)
