"""The pages hold together: each is in the menu of the site, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / 'README.md',
        ROOT / 'CONTRIBUTING.md',
        ROOT / 'results' / 'README.md',
        *(ROOT / 'docs').rglob('*.md'),
        *(ROOT / 'configs').rglob('README.md'),
    ]
)
LINK = re.compile(r'\[[^\]]*\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)')


def without_code(text: str) -> str:
    return re.sub(r'^```.*?^```', '', text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub and the site make them."""
    headings = re.findall(r'^#+ +(.*)$', without_code(page.read_text('utf-8')), re.MULTILINE)
    plain = (re.sub(r'[^\w\- ]', '', heading.lower()).strip() for heading in headings)
    return {re.sub(r'[ ]', '-', heading) for heading in plain}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    for file, anchor in LINK.findall(without_code(page.read_text('utf-8'))):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f'{page.name} links to {file}, which is not there'
        if anchor and target.suffix == '.md':
            assert anchor in anchors(target), f'{page.name} links to {file}#{anchor}'


def test_every_page_is_in_the_menu() -> None:
    text = (ROOT / 'mkdocs.yml').read_text('utf-8')
    menu = yaml.safe_load(text)['nav']

    def files(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        values = entry.values() if isinstance(entry, dict) else entry
        return [file for value in values for file in files(value)]

    pages = {page.relative_to(ROOT / 'docs').as_posix() for page in (ROOT / 'docs').rglob('*.md')}
    assert set(files(menu)) == pages | {'index.md'}  # README is the first page
    assert len(files(menu)) == len(set(files(menu)))


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_address_of_one_machine(page: Path) -> None:
    """A page serves everyone: no home folders, and no folder beside the clone."""
    assert not re.search(r'(?:/home/|/root/|/Users/|\.\./shared|/work/)', page.read_text('utf-8'))
