# SPDX-License-Identifier: Apache-2.0
"""Whole fields of a synthetic Papanicolaou smear."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from ...errors import ConfigError
from . import cells, distractors, organisms
from .brush import (
    HEMATOXYLIN,
    NUM_STAINS,
    Brush,
    Specimen,
    noise_bank,
    stains,
)
from .optics import Optics

CLASSES = (
    'ascus',
    'asch',
    'lsil',
    'hsil',
    'scc',
    'agc',
    'trichomonas',
    'candida',
    'flora',
    'herps',
    'actinomyces',
)
"""The paper's 11 classes, in its order and spelling."""

PAINTERS: dict[str, Callable[[Brush], Specimen]] = {
    'ascus': cells.ascus,
    'asch': cells.asch,
    'lsil': cells.lsil,
    'hsil': cells.hsil,
    'scc': cells.scc,
    'agc': cells.agc,
    'trichomonas': organisms.trichomonas,
    'candida': organisms.candida,
    'flora': organisms.flora,
    'herps': cells.herps,
    'actinomyces': organisms.actinomyces,
}
"""What paints one specimen of each class."""

DISTRACTORS: dict[str, Callable[[Brush], Specimen]] = {
    'superficial': partial(cells.squamous, mature=1.0),
    'intermediate': partial(cells.squamous, mature=0.0),
    'parabasal': cells.parabasal,
    'neutrophil': distractors.neutrophil,
    'lymphocyte': distractors.lymphocyte,
    'bare_nucleus': distractors.bare_nucleus,
    'red_cell': distractors.red_cell,
    'granular_debris': distractors.granular_debris,
    'mucus': distractors.mucus,
}
"""What paints the things without a box."""

# How many specimens one find of a class brings, and how close together they lie (1: touching).
_COLONY = dict(
    ascus=(1, 2),
    asch=(1, 3),
    lsil=(1, 2),
    hsil=(1, 3),
    scc=(1, 3),
    agc=(1, 1),
    trichomonas=(2, 5),
    candida=(1, 1),
    flora=(1, 2),
    herps=(1, 2),
    actinomyces=(1, 1),
)

MIN_SIZE = 48
_REFERENCE_AREA_UM2 = 183.0**2  # a 256 x 256 field at the default magnification
_MIN_BOX = 4  # pixels
_FULL = 0.25  # share of the field under labelled things at which no further find is made
_CORE = 0.35  # amount of hematoxylin from which a pixel counts as nucleus


@dataclass
class Smear:
    """One drawn field.

    Attributes:
        image: Picture, uint8 (H, W, 3), BGR.
        boxes: Boxes x1, y1, x2, y2 in pixels of the picture, float32 (n, 4). Pixel column c spans
            c to c + 1, so a box's corners are whole numbers and x2 - x1 is its width.
        labels: Indices into the smear's classes, int64 (n, ).
        masks: Silhouettes inside the picture, bool (n, H, W), not cut by what lies upon them.
        visible: Share of each silhouette that is inside the picture and not covered, (n, ).
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    visible: np.ndarray


class _Field:
    """A canvas of dye, with a record of what lies on top."""

    def __init__(self, height: int, width: int, min_visible: float) -> None:
        self.amount = np.zeros((height, width, NUM_STAINS), np.float32)
        # Which labelled thing lies on top, and whose nucleus (or other dark part) shows.
        self.owner = np.full((height, width), -1, np.int32)
        self.core_owner = np.full((height, width), -1, np.int32)
        self.min_visible = min_visible
        self.things: list[tuple[int, slice, slice, np.ndarray]] = []  # label, window, silhouette
        # Rows: silhouette, core. Columns: one for each labelled thing.
        self.area = np.zeros((2, 0))
        self.seen = np.zeros((2, 0))

    def cut(self, specimen: Specimen, x: float, y: float) -> tuple[slice, slice, slice, slice]:
        """The window of the field, and the window of the specimen that falls into it."""
        height, width = self.owner.shape
        h, w = specimen.mask.shape
        top, left = int(round(y - h / 2)), int(round(x - w / 2))
        rows = slice(max(0, top), max(0, min(height, top + h)))
        cols = slice(max(0, left), max(0, min(width, left + w)))
        inner_rows = slice(rows.start - top, rows.stop - top)
        return rows, cols, inner_rows, slice(cols.start - left, cols.stop - left)

    def put(self, specimen: Specimen, x: float, y: float, min_visible: float | None = None) -> bool:
        """Lays a specimen on the field, unless it or one under it would be mostly hidden.

        What makes a cell recognisable is its nucleus: of the dark part (the core), too, at least
        ``min_visible`` must show.
        """
        least = self.min_visible if min_visible is None else min_visible
        rows, cols, inner_rows, inner_cols = self.cut(specimen, x, y)
        if rows.stop <= rows.start or cols.stop <= cols.start:
            return False
        mask = specimen.mask[inner_rows, inner_cols]
        amount = specimen.amount[inner_rows, inner_cols]
        dense = amount[..., HEMATOXYLIN] > _CORE
        if specimen.label >= 0:
            core = specimen.amount[..., HEMATOXYLIN] > _CORE
            area = np.array([specimen.mask.sum(), core.sum()])
            seen = np.array([mask.sum(), dense.sum()])
            if seen[0] == 0 or (seen < least * area).any():
                return False
            if min(np.ptp(np.flatnonzero(mask.any(axis))) for axis in (0, 1)) < _MIN_BOX:
                return False
        hidden, core_hidden = self.owner[rows, cols][mask], self.core_owner[rows, cols][dense]
        count = len(self.things)
        lost = np.stack(
            [
                np.bincount(hidden[hidden >= 0], minlength=count),
                np.bincount(core_hidden[core_hidden >= 0], minlength=count),
            ]
        )
        left = self.seen - lost
        if ((lost > 0) & (left < least * self.area)).any():
            return False
        self.seen = left
        self.amount[rows, cols] += amount
        top = count if specimen.label >= 0 else -1
        self.owner[rows, cols][mask] = top
        self.core_owner[rows, cols][dense] = top
        if specimen.label >= 0:
            self.area = np.column_stack([self.area, area])
            self.seen = np.column_stack([self.seen, seen])
            self.things.append((specimen.label, rows, cols, mask))
        return True


class SyntheticSmear:
    """Draws Papanicolaou-like fields with exact boxes.

    A field is one slide: it has one to three of the classes, its own stain, light and focus, normal
    squamous cells, and neutrophils, blood, bare nuclei, debris and mucus without boxes. The same
    seed and settings give the same field.

    Args:
        height: Height of a field, pixels, at least 48.
        width: Width of a field, pixels, at least 48.
        classes: Classes to draw, a subset of :data:`CLASSES`; labels index into it.
        magnification: Objective of the scan: 40 means 0.25 um per pixel, 14 (the default) 0.71 um
            per pixel, at which boxes are mostly 20 to 110 pixels.
        crowding: Factor on the number of labelled finds in a field.
        negative_fraction: Chance of a field with no labelled thing at all, 0 to 1.
        variation: Spread of stain, light and focus between slides; 0 none, 1 usual.
        min_visible: Least share of a silhouette, and of its nuclei, that stays inside the field
            and uncovered, 0 to 0.8. What would be hidden more is placed elsewhere.

    Raises:
        ConfigError: An argument is out of its range, or a class is unknown.
    """

    def __init__(
        self,
        height: int = 256,
        width: int = 256,
        classes: Sequence[str] = CLASSES,
        magnification: float = 14.0,
        crowding: float = 1.0,
        negative_fraction: float = 0.05,
        variation: float = 1.0,
        min_visible: float = 0.4,
    ) -> None:
        for name, value in (('height', height), ('width', width)):
            if int(value) != value or value < MIN_SIZE:
                raise ConfigError(
                    f'{name}: expected a whole number of at least {MIN_SIZE} pixels, '
                    f'found {value!r}; ask for a larger field'
                )
        if isinstance(classes, str) or not len(classes):
            raise ConfigError(
                f'classes: expected a non-empty sequence of class names, found '
                f'{classes!r}; choose from {", ".join(CLASSES)}'
            )
        unknown = [name for name in classes if name not in CLASSES]
        if unknown or len(set(classes)) != len(classes):
            found = f'unknown {unknown}' if unknown else f'a name twice in {list(classes)}'
            raise ConfigError(
                f'classes: {found}; choose each at most once from {", ".join(CLASSES)}'
            )
        if not 4 <= magnification <= 80:
            raise ConfigError(
                f'magnification: expected 4 to 80 (40 is 0.25 um per pixel), found '
                f'{magnification!r}'
            )
        for name, share, high in (
            ('crowding', crowding, 20.0),
            ('variation', variation, 3.0),
            ('negative_fraction', negative_fraction, 1.0),
            ('min_visible', min_visible, 0.8),
        ):
            if not 0 <= share <= high:
                raise ConfigError(f'{name}: expected 0 to {high:g}, found {share!r}')
        self.height, self.width = int(height), int(width)
        self.classes = tuple(classes)
        self.magnification = float(magnification)
        self.pixels_per_um = self.magnification / 10.0
        self.crowding = float(crowding)
        self.negative_fraction = float(negative_fraction)
        self.variation = float(variation)
        self.min_visible = float(min_visible)
        self._noise = noise_bank(self.pixels_per_um)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments this smear was made with, defaults included."""
        return dict(
            height=self.height,
            width=self.width,
            classes=list(self.classes),
            magnification=self.magnification,
            crowding=self.crowding,
            negative_fraction=self.negative_fraction,
            variation=self.variation,
            min_visible=self.min_visible,
        )

    def draw(
        self, seed: int | np.random.SeedSequence, first_class: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draws one field.

        Args:
            seed: Anything numpy's ``default_rng`` takes; the field depends on nothing else.
            first_class: Index of a class the field must have; by default it is drawn.

        Returns:
            image uint8 (H, W, 3) BGR, boxes float32 (n, 4) x1, y1, x2, y2 in pixels, labels int64
            (n, ).
        """
        smear = self.draw_smear(seed, first_class)
        return smear.image, smear.boxes, smear.labels

    def draw_smear(
        self, seed: int | np.random.SeedSequence, first_class: int | None = None
    ) -> Smear:
        """Draws one field with its silhouettes; see :meth:`draw`."""
        rng = np.random.default_rng(seed)
        brush = Brush(rng, self._noise, self.pixels_per_um)
        optics = Optics.sample(rng, self.pixels_per_um, self.variation)
        field = _Field(self.height, self.width, self.min_visible)
        present = self._present(rng, first_class)
        names = {self.classes[label] for label in present}
        # Numbers of things go with the field's area.
        share = self.height * self.width / self.pixels_per_um**2 / _REFERENCE_AREA_UM2

        self._film(brush, field, names)
        self._scatter(brush, field, distractors.mucus, rng.poisson(0.5 * share))
        self._squamous_cells(brush, field, share)
        dirty = 'scc' in names
        for painter, mean in (
            (distractors.granular_debris, 4 if dirty else 1.2),
            (distractors.bare_nucleus, 1.0),
            (distractors.lymphocyte, 0.5),
            (distractors.red_cell, 4 if dirty and brush.chance(0.5) else 0.8),
        ):
            self._scatter(brush, field, painter, rng.poisson(mean * share))
        inflamed = 8.0 if names & {'trichomonas', 'scc', 'herps', 'candida'} else 3.5
        neutrophils = rng.poisson(rng.gamma(1.2, inflamed / 1.2) * share)
        self._scatter(brush, field, distractors.neutrophil, neutrophils - neutrophils // 3)
        self._finds(brush, field, present, share)
        self._scatter(brush, field, distractors.neutrophil, neutrophils // 3)
        self._specks(brush, field, share)
        image = optics.photograph(field.amount, rng)
        return self._collect(image, field)

    def draw_specimen(
        self, name: str, seed: int | np.random.SeedSequence, size_um: float = 90.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draws one specimen in the middle of an empty slide.

        Args:
            name: One of :data:`CLASSES` or of :data:`DISTRACTORS`.
            seed: Anything numpy's ``default_rng`` takes.
            size_um: Side of the square picture, micrometres; what is larger is cut.

        Returns:
            image uint8 (s, s, 3) BGR and the specimen's silhouette, bool (s, s).

        Raises:
            ConfigError: The name is unknown.
        """
        painter = PAINTERS.get(name) or DISTRACTORS.get(name)
        if painter is None:
            raise ConfigError(
                f'name: unknown specimen {name!r}; choose from '
                f'{", ".join([*PAINTERS, *DISTRACTORS])}'
            )
        rng = np.random.default_rng(seed)
        brush = Brush(rng, self._noise, self.pixels_per_um)
        optics = Optics.sample(rng, self.pixels_per_um, self.variation)
        side = max(_MIN_BOX, round(size_um * self.pixels_per_um))
        field = _Field(side, side, 0.0)
        specimen = painter(brush)
        field.put(specimen, side / 2, side / 2)
        rows, cols, inner_rows, inner_cols = field.cut(specimen, side / 2, side / 2)
        mask = np.zeros((side, side), bool)
        mask[rows, cols] = specimen.mask[inner_rows, inner_cols]
        return optics.photograph(field.amount, rng), mask

    def _present(self, rng: np.random.Generator, first_class: int | None) -> list[int]:
        """The classes of this slide: one to three, none on a negative slide."""
        count = min(int(rng.choice([1, 2, 3], p=[0.45, 0.38, 0.17])), len(self.classes))
        order = rng.permutation(len(self.classes)).tolist()
        negative = rng.random() < self.negative_fraction
        if first_class is not None:
            order.remove(first_class)
            order.insert(0, first_class)
        return [] if negative else order[:count]

    def _anywhere(self, rng: np.random.Generator, inset: float = 0.0) -> tuple[float, float]:
        left, top = min(inset, 0.5 * self.width), min(inset, 0.5 * self.height)
        return (
            float(rng.uniform(left, self.width - left)),
            float(rng.uniform(top, self.height - top)),
        )

    def _film(self, brush: Brush, field: _Field, names: set[str]) -> None:
        """Thin uneven protein; bacteria where the flora has shifted; broken cells beside scc."""
        shape = (self.height, self.width)
        base = np.clip(0.5 + 0.5 * brush.noise('broad', *shape), 0, None)[..., None]
        dye = stains(*brush.rng.uniform(0, (0.035, 0.05, 0.035, 0.01)))
        field.amount += base * dye
        if 'flora' in names:
            rods = np.clip(brush.noise('fine', *shape) - 1.1, 0, None)
            rods *= np.clip(0.4 + 0.6 * brush.noise('coarse', *shape), 0, None)
            field.amount += rods[..., None] * stains(0.22, 0.02, 0.08)
        if 'scc' in names:
            grain = np.clip(0.3 + brush.noise('chromatin', *shape), 0, None)
            grain *= np.clip(brush.noise('broad', *shape), 0, None)
            field.amount += grain[..., None] * stains(0.06, 0.03, 0.09, 0.03)

    def _scatter(
        self, brush: Brush, field: _Field, painter: Callable[[Brush], Specimen], count: int
    ) -> None:
        for _ in range(int(count)):
            field.put(painter(brush), *self._anywhere(brush.rng))

    def _squamous_cells(self, brush: Brush, field: _Field, share: float) -> None:
        """Normal cells, partly in overlapping sheets."""
        rng = brush.rng
        count = rng.poisson(rng.uniform(2.0, 9.0) * share)
        mature = float(rng.uniform(0.05, 0.7))
        spot = self._anywhere(rng)
        for _ in range(int(count)):
            if rng.random() < 0.55:
                spot = self._anywhere(rng)
            else:
                turn, step = rng.uniform(0, 2 * np.pi), rng.uniform(24, 46) * self.pixels_per_um
                spot = spot[0] + step * np.cos(turn), spot[1] + step * np.sin(turn)
            small = rng.random() < 0.08
            specimen = cells.parabasal(brush) if small else cells.squamous(brush, mature)
            if rng.random() < 0.25:
                blur = float(rng.uniform(0.3, 1.2)) * self.pixels_per_um
                specimen.amount = cv2.GaussianBlur(
                    specimen.amount, (0, 0), blur, borderType=cv2.BORDER_CONSTANT
                )
            field.put(specimen, *spot)

    def _paint(self, brush: Brush, label: int) -> Specimen:
        """One specimen of a class, shrunk where the field is too small for it."""
        specimen = PAINTERS[self.classes[label]](brush)
        specimen.label = label
        h, w = specimen.mask.shape
        factor = min(1.0, 0.9 * self.height / h, 0.9 * self.width / w)
        if factor < 1:
            size = max(4, round(w * factor)), max(4, round(h * factor))
            specimen.amount = cv2.resize(specimen.amount, size, interpolation=cv2.INTER_AREA)
            coverage: np.ndarray = specimen.mask.astype(np.float32)
            coverage = cv2.resize(coverage, size, interpolation=cv2.INTER_AREA)
            specimen.mask = coverage >= 0.5
        return specimen

    def _finds(self, brush: Brush, field: _Field, present: list[int], share: float) -> None:
        """The labelled things: colonies of each class present, every class at least once."""
        rng = brush.rng
        if not present:
            return
        finds = max(len(present), int(rng.poisson(rng.uniform(1.5, 3.5) * share * self.crowding)))
        extra = rng.choice(present, finds - len(present)).tolist()
        for number, label in enumerate(present + extra):
            if number >= len(present) and (field.owner >= 0).mean() > _FULL:
                break
            low, high = _COLONY[self.classes[label]]
            spot: tuple[float, float] | None = None
            for _ in range(int(rng.integers(low, high + 1))):
                specimen = self._paint(brush, label)
                reach = 0.5 * min(specimen.mask.shape)
                for attempt in range(14):
                    if spot is None or rng.random() < 0.2:
                        at = self._anywhere(rng, 0.8 * reach)
                    else:
                        turn = rng.uniform(0, 2 * np.pi)
                        step = reach * rng.uniform(1.5, 2.6)
                        at = spot[0] + step * np.cos(turn), spot[1] + step * np.sin(turn)
                    if self.classes[label] == 'candida' and rng.random() < 0.7:
                        # Hyphae spear sheets of normal cells.
                        for dx, dy in rng.normal(0, 9 * self.pixels_per_um, (2, 2)):
                            field.put(cells.squamous(brush, 0.3), at[0] + dx, at[1] + dy)
                    # A find of its own lies free if there is room; its neighbours may touch it.
                    free = 0.85 if spot is None and attempt < 8 else None
                    if field.put(specimen, *at, free):
                        spot = at
                        break

    def _specks(self, brush: Brush, field: _Field, share: float) -> None:
        """Grains of precipitated stain: too small for a silhouette."""
        rng = brush.rng
        count = int(rng.poisson(rng.gamma(1.0, 5.0) * share))
        if not count:
            return
        ink = np.zeros((self.height, self.width), np.uint8)
        for x, y, r in zip(
            rng.uniform(0, self.width, count),
            rng.uniform(0, self.height, count),
            rng.uniform(0.2, 0.7, count) * self.pixels_per_um,
            strict=True,
        ):
            shade = int(rng.integers(60, 256))
            cv2.circle(
                ink, (int(x * 16), int(y * 16)), max(1, int(r * 16)), shade, -1, cv2.LINE_AA, 4
            )
        soft = cv2.GaussianBlur(ink.astype(np.float32), (0, 0), 0.7)
        field.amount[..., 0] += soft * np.float32(rng.uniform(0.4, 1.3) / 255)

    def _collect(self, image: np.ndarray, field: _Field) -> Smear:
        count = len(field.things)
        masks = np.zeros((count, self.height, self.width), bool)
        boxes = np.zeros((count, 4), np.float32)
        for index, (_, rows, cols, mask) in enumerate(field.things):
            masks[index, rows, cols] = mask
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            boxes[index] = (
                cols.start + xs[0],
                rows.start + ys[0],
                cols.start + xs[-1] + 1,
                rows.start + ys[-1] + 1,
            )
        labels = np.array([thing[0] for thing in field.things], np.int64)
        visible = field.seen[0] / np.maximum(field.area[0], 1)
        return Smear(image, boxes, labels, masks, visible.astype(np.float32))
