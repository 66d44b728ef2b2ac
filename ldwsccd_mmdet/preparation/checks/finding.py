"""What a check has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ['LEVELS', 'Finding']

#: From harmless to harmful. An error makes training or its numbers wrong; a warning loses or
#: distorts some data; a note is for you to know.
LEVELS = ('note', 'warning', 'error')


@dataclass(frozen=True)
class Finding:
    """One fault of a set, with everything that has it.

    Attributes:
        check: Short name of the check, such as ``box-no-area``.
        level: One of :data:`LEVELS`.
        message: What was found, in one sentence with numbers.
        remedy: What to do about it.
        items: All that is affected. Keys: ``image`` or ``images`` (file names), and where it
            applies ``annotation`` (id), ``bbox`` (x, y, w, h, pixels of the image), ``class``.
    """

    check: str
    level: str
    message: str
    remedy: str = ''
    items: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), 'count': len(self.items)}
