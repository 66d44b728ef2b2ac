"""Scenes of real cells: crops laid on an empty slide as light would see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import ConfigError
from .crops import Bystander, Cell

__all__ = ['ComposedScene', 'Scene']

_TRIES = 12  # places tried for a cell
_LARGEST = 0.8  # largest cell, as a share of the scene's side
_LEAST_BOX = 8  # least side of a box, pixels


@dataclass(frozen=True)
class Scene:
    """One composed picture.

    Attributes:
        image: BGR, ``uint8``, shape ``(size, size, 3)``.
        boxes: x1, y1, x2, y2 in pixels: the extent of each cell's silhouette inside the picture.
            Shape ``(n, 4)``, whole numbers.
        labels: Class indices, shape ``(n,)``.
        sources: The crop of each cell.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    sources: list[str]


class ComposedScene:
    """Composes scenes of cells cut from crops.

    Densities add up, and the slide's light passes through their sum (Beer-Lambert's law): cells
    that overlap show through each other, as on a slide.

    Args:
        cells: Cells of each class; labels index its keys.
        bystanders: What lies around without a box. Pieces that were cut off by a side of their crop
            lie at a side of the scene.
        size: Side of the scene, pixels.
        mean_cells: Mean number of cells in a scene of 512 x 512 pixels.
        scale: Range of the factor on a cell's size.
        stain: Spread of the amount and hue of the stain between scenes; 0 is none.
        overlap: Largest share of a cell, or of one under it, that another may cover.
        min_inside: Least share of a cell that lies inside the scene.
        negative_fraction: Chance of a scene without a cell that has a box.

    Raises:
        ConfigError: A class has no cell, or a number is out of its range.
    """

    def __init__(
        self,
        cells: Mapping[str, Sequence[Cell]],
        bystanders: Sequence[Bystander] = (),
        size: int = 512,
        mean_cells: float = 6,
        scale: tuple[float, float] = (0.8, 1.2),
        stain: float = 1.0,
        overlap: float = 0.35,
        min_inside: float = 0.6,
        negative_fraction: float = 0.05,
    ) -> None:
        empty = [name for name, group in cells.items() if not group]
        if empty or not cells:
            raise ConfigError(
                f'no crop of {", ".join(empty) or "any class"} could be cut out: add crops whose '
                'cell is surrounded by empty slide, or leave the class out of --classes'
            )
        for name, value, low, high in (
            ('size', size, 64, 8192),
            ('scale', min(scale), 0.1, 10),
            ('scale', max(scale), 0.1, 10),
            ('stain', stain, 0, 3),
            ('overlap', overlap, 0, 1),
            ('min_inside', min_inside, 0.1, 1),
            ('mean_cells', mean_cells, 0, 1000),
            ('negative_fraction', negative_fraction, 0, 1),
        ):
            if not low <= value <= high:
                raise ConfigError(f'{name}: expected {low} to {high}, found {value!r}')
        self.classes = tuple(cells)
        self.cells = cells
        self.debris = [piece for piece in bystanders if not any(piece.sides)]
        self.pieces = [piece for piece in bystanders if any(piece.sides)]
        self.size = int(size)
        self.mean_cells = mean_cells * (self.size / 512) ** 2
        self.scale = (min(scale), max(scale))
        self.stain = stain
        self.overlap = overlap
        self.min_inside = min_inside
        self.negative_fraction = negative_fraction

    def draw(self, seed: int | np.random.SeedSequence, first_class: int | None = None) -> Scene:
        """Compose one scene.

        Args:
            seed: Anything numpy's ``default_rng`` takes; the scene depends on nothing else.
            first_class: Index of a class that the scene must try to have.
        """
        rng = np.random.default_rng(seed)
        density = np.zeros((self.size, self.size, 3), np.float32)
        for _ in range(rng.poisson(3.0 * (self.size / 512)) if self.pieces else 0):
            self._lay_piece(rng, density)
        for _ in range(rng.poisson(rng.gamma(2, 6) * (self.size / 512) ** 2) if self.debris else 0):
            piece = self.debris[rng.integers(len(self.debris))]
            turned, _ = _turn(rng, piece.density, rng.uniform(*self.scale))
            x, y = rng.integers(0, self.size, 2)
            _add(density, turned, x - turned.shape[1] // 2, y - turned.shape[0] // 2)
        boxes, labels, sources = self._lay_cells(rng, density, first_class)
        image = self._photograph(rng, density)
        return Scene(image, np.array(boxes, float).reshape(-1, 4), np.array(labels, int), sources)

    def _lay_cells(
        self, rng: np.random.Generator, density: np.ndarray, first_class: int | None
    ) -> tuple[list[tuple[int, int, int, int]], list[int], list[str]]:
        """Lay the cells that get a box."""
        order = rng.permutation(len(self.classes)).tolist()
        if first_class is not None:
            order.remove(first_class)
            order.insert(0, first_class)
        present = order[: int(rng.choice([1, 2, 3], p=[0.4, 0.4, 0.2]))]
        if rng.random() < self.negative_fraction:
            return [], [], []
        boxes, labels, sources = [], [], []
        masks: list[np.ndarray] = []
        spot: np.ndarray | None = None
        for number in range(max(len(present), int(rng.poisson(self.mean_cells)))):
            label = present[number] if number < len(present) else int(rng.choice(present))
            group = self.cells[self.classes[label]]
            cell = group[int(rng.integers(len(group)))]
            factor = rng.uniform(*self.scale)
            if factor * max(cell.mask.shape) > _LARGEST * self.size:
                continue
            turned, mask = _turn(rng, cell.density, factor, cell.mask)
            for _ in range(_TRIES):
                centre = rng.uniform(0, self.size, 2)
                if spot is not None and rng.random() < 0.5:  # cells lie in groups
                    centre = spot + rng.normal(0, 0.7 * max(mask.shape), 2)
                x, y = np.rint(centre - np.array(mask.shape[::-1]) / 2).astype(int).tolist()
                placed = np.zeros((self.size, self.size), np.float32)
                _add(placed, mask, x, y)
                own = placed > 0.5
                area = own.sum()
                if area < self.min_inside * (mask > 0.5).sum():
                    continue
                hidden = [(own & other).sum() / min(area, other.sum()) for other in masks]
                if max(hidden, default=0) > self.overlap:
                    continue
                xs, ys = np.flatnonzero(own.any(0)), np.flatnonzero(own.any(1))
                box = (int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1)
                if min(box[2] - box[0], box[3] - box[1]) < _LEAST_BOX:
                    continue
                _add(density, turned, x, y)
                masks.append(own)
                boxes.append(box)
                labels.append(label)
                sources.append(cell.source)
                spot = centre
                break
        return boxes, labels, sources

    def _lay_piece(self, rng: np.random.Generator, density: np.ndarray) -> None:
        """Lay a piece of a cell at that side of the scene which cuts it off as its crop did."""
        piece = self.pieces[rng.integers(len(self.pieces))]
        factor = rng.uniform(*self.scale)
        flags = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        image = cv2.resize(piece.density, None, fx=factor, fy=factor, interpolation=flags)
        left, top, right, bottom = piece.sides
        height, width = image.shape[:2]
        if max(height, width) > 0.6 * self.size:
            return
        x, y = (int(rng.integers(0, self.size - side)) for side in (width, height))
        x = 0 if left else self.size - width if right else x
        y = 0 if top else self.size - height if bottom else y
        # mirrored with the whole scene, so that the cut stays at a side
        view = density
        for axis in range(2):
            view = view[::-1] if axis == 0 and rng.random() < 0.5 else view
            view = view[:, ::-1] if axis == 1 and rng.random() < 0.5 else view
        if rng.random() < 0.5:
            view = view.transpose(1, 0, 2)
        _add(view, image, x, y)

    def _photograph(self, rng: np.random.Generator, density: np.ndarray) -> np.ndarray:
        """Let light through, and take the picture."""
        groups = list(self.cells.values())
        group = groups[int(rng.integers(len(groups)))]
        like = group[int(rng.integers(len(group)))]
        slide = np.clip(like.slide, 226, 250).astype(np.float32)
        strength = np.exp(rng.normal(0, 0.12 * self.stain) + rng.normal(0, 0.06 * self.stain, 3))
        picture = cv2.exp(-(density * strength.astype(np.float32)))
        ramp = np.linspace(-1, 1, self.size, dtype=np.float32)
        tilt = rng.uniform(-0.012, 0.012, 2).astype(np.float32)
        picture *= (1 + tilt[0] * ramp[None] + tilt[1] * ramp[:, None])[..., None] * slide
        noise = rng.normal(0, 2.0, picture.shape[:2] + (3,)).astype(np.float32)
        picture += cv2.GaussianBlur(noise, (0, 0), 0.7)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _turn(
    rng: np.random.Generator, density: np.ndarray, factor: float, mask: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale, mirror and turn a cell by any angle; the canvas grows with it."""
    height, width = density.shape[:2]
    angle = rng.uniform(0, 360)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, factor)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    sides = np.array([height * sin + width * cos, height * cos + width * sin])
    new = (np.ceil(sides).astype(int) + 2).tolist()
    matrix[:, 2] += (new[0] - width) / 2, (new[1] - height) / 2
    flip = rng.random() < 0.5
    layers = density if mask is None else np.dstack([density, mask])
    layers = layers[:, ::-1] if flip else layers
    flags = cv2.INTER_LINEAR if factor < 1 else cv2.INTER_CUBIC
    turned = cv2.warpAffine(np.ascontiguousarray(layers), matrix, new, flags=flags)
    return turned[..., :3].clip(min=-0.05), turned[..., -1]


def _add(canvas: np.ndarray, part: np.ndarray, x: int, y: int) -> None:
    """Add a part to a canvas at a corner that may lie outside."""
    height, width = part.shape[:2]
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + width, canvas.shape[1]), min(y + height, canvas.shape[0])
    if x1 < x2 and y1 < y2:
        canvas[y1:y2, x1:x2] += part[y1 - y : y2 - y, x1 - x : x2 - x]
