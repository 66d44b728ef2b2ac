"""Spellings of the classes of cervical cytology, and a user's own renaming."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ...datasets.cervical_cell_dataset import FULL_NAMES
from ...errors import DatasetError

__all__ = ['BETHESDA_CLASSES', 'CCD_CLASSES', 'ClassMap', 'cytology_class']

#: The paper's eleven classes, in its order and spelling.
CCD_CLASSES = tuple(name for name in FULL_NAMES if name != 'nilm')
#: CRIC's six classes.
BETHESDA_CLASSES = ('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc')

_OTHER_SPELLINGS = {
    'negativeforintraepitheliallesion': 'nilm',
    'negativeforintraepitheliallesionormalignancy': 'nilm',
    'negative': 'nilm',
    'normal': 'nilm',
    'agcnos': 'agc',
    'trich': 'trichomonas',
    'trichomonasvaginalis': 'trichomonas',
    'candidaalbicans': 'candida',
    'herpes': 'herps',
    'herpessimplexvirus': 'herps',
    'actinomycetes': 'actinomyces',
}


def cytology_class(name: str) -> str:
    """Return this project's spelling of a class: ``'ASC-US'`` is ``'ascus'``; others stay."""
    bare = ''.join(c for c in name.lower() if c.isalnum())
    return bare if bare in FULL_NAMES else _OTHER_SPELLINGS.get(bare, name)


class ClassMap:
    """Turns a source's class names into those of the set to be made.

    Args:
        classes: The classes of the set, in the order of their ids; None takes the names as found.
        renamed: ``{name in the source: name in the set}``; an empty name leaves the class out.
    """

    def __init__(
        self, classes: Sequence[str] | None = None, renamed: Mapping[str, str] | None = None
    ) -> None:
        self.classes = None if classes is None else tuple(classes)
        self.renamed = dict(renamed or {})

    @classmethod
    def from_texts(cls, classes: Sequence[str] | None, renamed: Sequence[str] = ()) -> ClassMap:
        """Make the map from a command's ``--classes`` and its ``OLD=NEW`` of ``--rename``."""
        return cls(classes, dict(pair.rsplit('=', 1) for pair in renamed))

    def __call__(self, name: str) -> str | None:
        """Return the name in the set; None if the class is to be left out."""
        if name in self.renamed:
            return self.renamed[name] or None
        if self.classes is None or name in self.classes:
            return name
        return cytology_class(name)

    def check(self, found: Mapping[str, int], source: str) -> tuple[str, ...]:
        """Return the classes of the set, once all names of the source are known.

        Args:
            found: How often each name of the source occurs.
            source: The source, for the message.

        Raises:
            DatasetError: Names are not among ``classes``: all of them are listed.
        """
        if self.classes is None:
            return tuple(sorted({new for name in found if (new := self(name)) is not None}))
        unknown = {
            name: count
            for name, count in found.items()
            if (new := self(name)) is not None and new not in self.classes
        }
        if unknown:
            listed = ', '.join(f"'{name}' ({n})" for name, n in Counter(unknown).most_common())
            raise DatasetError(
                f"'{source}' has classes that are not asked for: {listed}; expected "
                f'{", ".join(self.classes)}: rename one with --rename OLD=NEW, leave it out with '
                '--rename OLD=, or name all classes with --classes'
            )
        return self.classes
