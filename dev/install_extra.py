"""Install the packages of an extra of pyproject.toml, where they are missing: docs, for example.

    python dev/install_extra.py NAME

The project itself is installed already; its own build is not run again.
"""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parents[1] / 'pyproject.toml'


def requirements(extra: str) -> list[str]:
    """The requirements of an extra, as pyproject.toml spells them."""
    text = PYPROJECT.read_text(encoding='utf-8')
    section = text.split('[project.optional-dependencies]\n')[1].split('\n[')[0]
    line = re.search(rf'^{re.escape(extra)} = \[(.*?)\]\s*(?:#.*)?$', section, re.MULTILINE)
    if line is None:
        raise SystemExit(f"error: pyproject.toml has no extra '{extra}'")
    return re.findall(r'"([^"]+)"', line[1])


def is_missing(requirement: str) -> bool:
    """Whether no version of the package is installed."""
    name = re.match(r'[\w.-]+', requirement)
    try:
        distribution(name[0] if name else requirement)
    except PackageNotFoundError:
        return True
    return False


def main() -> int:
    needed = requirements(sys.argv[1])
    if not any(map(is_missing, needed)):
        return 0
    return subprocess.call([sys.executable, '-m', 'pip', 'install', '--quiet', *needed])


if __name__ == '__main__':
    sys.exit(main())
