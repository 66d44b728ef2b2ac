"""Hooks of mkdocs: README becomes the first page, links out of docs/ lead to the repository.

mkdocs checks every link between the pages. A link to another file of the repository, such as a
config, is checked here: the file must be there. It leads to the repository if `repo_url` is set in
mkdocs.yml, and else becomes text.
"""

import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)')
logger = logging.getLogger('mkdocs.plugins.site_hooks')


def readme_as_index() -> str:
    """README with its links as they are from docs/."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    return re.sub(r'\]\(docs/', '](', LINK.sub(_from_docs, text))


def _from_docs(found: re.Match[str]) -> str:
    """A link of README, as it is from docs/."""
    if found[2].startswith('docs/'):
        return found[0]
    return f'[{found[1]}](../{found[2]}{found[3] or ""})'


def on_files(files: Any, config: Any) -> Any:
    """Add the first page."""
    files.append(File.generated(config, 'index.md', content=readme_as_index()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrite links that leave docs/."""
    folder = (ROOT / 'docs' / page.file.src_uri).parent

    def rewrite(found: re.Match[str]) -> str:
        target = (folder / found[2]).resolve()
        if target.is_relative_to(ROOT / 'docs'):
            return found[0]  # mkdocs checks it
        path = target.relative_to(ROOT).as_posix()
        if not target.exists():
            logger.warning("%s: there is no '%s'", page.file.src_uri, path)
        if not config.repo_url:
            return found[1] if '`' in found[1] else f'{found[1]} (`{path}`)'
        return f'[{found[1]}]({config.repo_url.rstrip("/")}/blob/main/{path}{found[3] or ""})'

    return LINK.sub(rewrite, markdown)
