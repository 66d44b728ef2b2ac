"""An extension of griffe: the reStructuredText of docstrings becomes the Markdown of the site."""

import re
from textwrap import dedent, indent
from typing import Any

import griffe

ROLE = re.compile(r':(?:class|func|meth|attr|mod|data|exc):`[~.]*([^`]+)`')
MATH = re.compile(r':math:`([^`]+)`')
BLOCK = re.compile(r'^( *)\.\. math::\n\s*\n?((?:\1 {2,}.*\n|\s*\n)+)', re.MULTILINE)
TABLE = re.compile(
    r'^=+ =+(?: =+)*\n(.*?)\n=+ =+(?: =+)*\n((?:.*\n)*?)=+ =+(?: =+)*$', re.MULTILINE
)


def to_markdown(text: str) -> str:
    """Rewrite roles, formulas, literals and simple tables."""
    text = BLOCK.sub(_formula, text + '\n').rstrip('\n')
    text = MATH.sub(lambda found: f'${" ".join(found[1].split())}$', text)
    text = ROLE.sub(lambda found: f'`{found[1].split(".")[-1]}`', text)
    text = TABLE.sub(_table, text)
    return re.sub(r'``([^`]+)``', r'`\1`', text).replace('::\n\n', ':\n\n')


def _formula(found: re.Match[str]) -> str:
    lines = dedent(found[2]).strip('\n')
    if '&' in lines or r'\\' in lines:  # what Sphinx does by itself
        lines = f'\\begin{{aligned}}\n{lines}\n\\end{{aligned}}'
    return indent(f'$$\n{lines}\n$$\n\n', found[1])


def _table(found: re.Match[str]) -> str:
    header, *rows = (
        [cell for cell in re.split(r' {2,}', line.strip())]
        for line in (found[1], *found[2].splitlines())
    )
    lines = ['| ' + ' | '.join(row) + ' |' for row in (header, ['---'] * len(header), *rows)]
    return '\n'.join(lines)


class DocstringMarkup(griffe.Extension):
    """Rewrites every docstring when it has been read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
