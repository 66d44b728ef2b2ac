"""Split an annotated set: every class in each part, a patient's images together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ConfigError, check_argument

__all__ = ['Fold', 'split_images', 'subset']

_GROUP = '--group (dataset.fold.group)'


@dataclass(frozen=True)
class Fold:
    """One of several parts of a set, to be left out of it, or to be all of it.

    A training that leaves a part out, and a validation that is this part, share no image, although
    both name one annotation file. Parts hold each class by its share (:func:`split_images`), and
    are the same whenever they are asked for.

    Attributes:
        of: Number of parts, 2 or more.
        leave_out: The part that is left out, from 0; or None.
        only: The part that is the set, from 0; or None. One of both is given.
        group: What names a patient or slide, whose images stay together: see :func:`split_images`.

    Raises:
        ConfigError: A number is outside its range, or not one of both is given.
    """

    of: int
    leave_out: int | None = None
    only: int | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        check_argument(self.of >= 2, 'dataset.fold.of', 'a whole number of at least 2', self.of)
        both = (self.leave_out, self.only)
        check_argument(both.count(None) == 1, 'dataset.fold', 'one of leave_out and only', both)
        part = self.leave_out if self.only is None else self.only
        assert part is not None
        check_argument(0 <= part < self.of, 'dataset.fold', f'a part from 0 to {self.of - 1}', part)

    def take(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Give the images of COCO content, and their annotations, that belong to the set."""
        part = split_images(content, [1 / self.of] * self.of, 0, self.group)
        return subset(content, part != self.leave_out if self.only is None else part == self.only)


def split_images(
    content: Mapping[str, Any], shares: Sequence[float], seed: int = 0, group: str | None = None
) -> np.ndarray:
    """Assign each image to a part, so that parts hold each class by their share.

    Iterative stratification (Sechidis et al., ECML 2011) over groups: the rarest class goes first,
    to the part that lacks it most.

    Args:
        content: COCO content.
        shares: Share of each part, above 0; they sum to 1.
        seed: Seed of ties and order.
        group: Regular expression whose first group in a file name, or whole match, names the
            patient or slide: its images stay together. None: each image by itself.

    Returns:
        The part of each image, in the order of the content, shape ``(n,)``.

    Raises:
        ConfigError: The pattern is none or does not fit a name, or there are fewer groups than
            parts.
    """
    names = [image['file_name'] for image in content['images']]
    keys = [_key(name, group) for name in names]
    groups = sorted(set(keys))
    if len(groups) < len(shares):
        raise ConfigError(
            f'{len(groups)} groups of images cannot be split into {len(shares)} parts: '
            + (f'{_GROUP} takes them all for one' if group else 'give more images, or a VAL.json')
        )
    number = {key: i for i, key in enumerate(groups)}
    image_of = {
        image['id']: number[key] for image, key in zip(content['images'], keys, strict=True)
    }
    label_of = {category['id']: i for i, category in enumerate(content['categories'])}
    # the last column counts images, so that those without boxes are shared out too
    counts = np.zeros((len(groups), len(label_of) + 1))
    for annotation in content['annotations']:
        counts[image_of[annotation['image_id']], label_of[annotation['category_id']]] += 1
    np.add.at(counts[:, -1], [number[key] for key in keys], 1)
    part = _assign(counts, np.asarray(shares, float), np.random.default_rng(seed))
    return part[[number[key] for key in keys]]


def _assign(counts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Assign groups (G, C) to parts; returns (G,)."""
    part = np.full(len(counts), -1)
    wanted = shares[:, None] * counts.sum(0)
    order = rng.permutation(len(counts))
    while (part < 0).any():
        left = part < 0
        empty = [p for p in range(len(shares)) if not (part == p).any()]
        remaining = counts[left].sum(0)
        column = int(np.argmin(np.where(remaining > 0, remaining, np.inf)))
        # the group with most of the rarest class, so that large ones find room
        free = [g for g in order if left[g]]
        chosen = max(free, key=lambda g: counts[g, column])
        choices = empty if empty and len(free) <= len(empty) else range(len(shares))
        lacking = [(wanted[p, column], wanted[p, -1], rng.random(), p) for p in choices]
        best = max(lacking)[-1]
        part[chosen] = best
        wanted[best] -= counts[chosen]
    return part


def subset(content: Mapping[str, Any], keep: np.ndarray) -> dict[str, Any]:
    """Keep some images of COCO content, with their annotations.

    Args:
        content: COCO content.
        keep: Mask over its images.
    """
    images = [image for image, kept in zip(content['images'], keep, strict=True) if kept]
    ids = {image['id'] for image in images}
    annotations = [a for a in content['annotations'] if a['image_id'] in ids]
    return {**content, 'images': images, 'annotations': annotations}


def _key(name: str, group: str | None) -> str:
    """What names the group of an image."""
    if group is None:
        return name
    try:
        found = re.search(group, name)
    except re.error as error:
        raise ConfigError(f"{_GROUP}: '{group}' is no regular expression ({error})") from error
    if found is None:
        raise ConfigError(
            f"{_GROUP}: '{group}' does not fit the file name '{name}': mend it, as in "
            "--group '^([^_]+)_' for what stands before the first _"
        )
    return str(found.group(1) if found.re.groups else found.group())
