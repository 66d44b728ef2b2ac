"""The `.mim` folder that OpenMMLab's tools look for; what the package is, pyproject.toml says."""

import os
import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = 'ldwsccd_mmdet'
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[co]', '.*')


class BuildPyWithMim(build_py):
    """Puts `configs`, `tools` and `model-index.yml` into `ldwsccd_mmdet/.mim`.

    A wheel gets copies. A source tree has links, so that an edited config is the one that is
    found; an editable install makes them again, for a file system that lost them.
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


def index_readme() -> str:
    """Read README.md for a package index: links within the repository would lead nowhere there."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    text = re.sub(r'!\[[^]]*\]\((?!https?:)[^)]*\)\n?', '', text)  # pictures
    return re.sub(r'\[([^]]*)\]\((?!https?:)[^)]*\)', r'\1', text)


setup(
    long_description=index_readme(),
    long_description_content_type='text/markdown',
    cmdclass={'build_py': BuildPyWithMim},
)
