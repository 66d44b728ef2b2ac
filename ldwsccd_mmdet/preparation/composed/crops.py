"""Cells cut out of crops, as what they do to light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from ...datasets.files import IMAGE_SUFFIXES
from ...errors import DatasetError
from ..checks.duplicates import near_duplicate_pairs
from ..checks.images import scan_image

__all__ = ['Bystander', 'Cell', 'cut_bystanders', 'cut_cell', 'find_crops', 'split_crops']

_LEAST = 12  # side of a crop below which nothing can be told apart, pixels
_BRIGHT = 190  # grey level above which the brightest part of a crop is empty slide
_EMPTY = 0.06  # optical density below which a pixel is empty slide
_CUT = 0.25  # share of a crop's border that its cell may touch


@dataclass(frozen=True)
class Cell:
    """A cell without its surroundings.

    Attributes:
        density: Optical density over the empty slide, natural logarithm, ``float32``, shape
            ``(h, w, 3)``, BGR; 0 where the cell is not. Light of intensity I leaves the cell as
            I exp(-density).
        mask: The cell's silhouette, ``float32`` in [0, 1], shape ``(h, w)``; soft at its edge.
        source: Folder and file of the crop.
        slide: Colour of the empty slide around it, BGR.
    """

    density: np.ndarray
    mask: np.ndarray
    source: str
    slide: np.ndarray


@dataclass(frozen=True)
class Bystander:
    """A piece of a crop's surroundings, which gets no box.

    Attributes:
        density: As of :class:`Cell`.
        sides: Whether the crop's left, upper, right and lower side cut it off.
        source: Folder and file of the crop.
    """

    density: np.ndarray
    sides: tuple[bool, bool, bool, bool]
    source: str


def find_crops(root: str | Path, classes: Sequence[str]) -> dict[str, list[Path]]:
    """Find the crops of each class, in ``root/<class>/``.

    Raises:
        DatasetError: A class has no folder, or no image in it: all such are listed.
    """
    crops = {
        name: sorted(p for p in (Path(root) / name).glob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
        for name in classes
    }
    empty = [name for name, paths in crops.items() if not paths]
    if empty:
        raise DatasetError(
            f"'{root}' has no crops of {', '.join(empty)}: expected one folder a class with images "
            'in it; check the path, or name the classes with --classes'
        )
    return crops


def split_crops(
    crops: Mapping[str, Sequence[Path]], test_fraction: float, seed: int
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    """Split crops by class, so that no cell is on both sides.

    Crops of the same file or nearly the same picture (scaled, turned, mirrored, whatever their
    class) stay together.

    Args:
        crops: Crops of each class.
        test_fraction: Share of each class's crops for the test side, 0 to 1.
        seed: Seed of the draw.

    Returns:
        The crops of each class for training, and those for testing.
    """
    paths = [path for group in crops.values() for path in group]
    scans = [scan_image(path) for path in paths]
    bad = [str(path) for path, scan in zip(paths, scans, strict=True) if scan.fault]
    if bad:
        raise DatasetError(f'{len(bad)} crops cannot be read: {", ".join(bad)}; delete them')
    twins = near_duplicate_pairs(np.stack([s.thumbnail for s in scans if s.thumbnail is not None]))
    first = np.arange(len(paths))
    by_digest: dict[bytes | None, int] = {}
    pairs = [(by_digest.setdefault(scan.digest, i), i) for i, scan in enumerate(scans)]
    for i, j in (*pairs, *twins.tolist()):
        first[first == first[j]] = first[i]
    class_of = np.repeat(np.arange(len(crops)), [len(group) for group in crops.values()])
    rng = np.random.default_rng([seed, 1])
    tested = np.zeros(len(paths), bool)
    for label in range(len(crops)):
        members = np.flatnonzero(class_of == label)
        wanted = round(test_fraction * len(members))
        for index in rng.permutation(members):
            if tested[members].sum() >= wanted:
                break
            tested |= first == first[index]
    sides: tuple[dict[str, list[Path]], dict[str, list[Path]]] = ({}, {})
    for label, name in enumerate(crops):
        for side, of in ((0, ~tested), (1, tested)):
            sides[side][name] = [paths[i] for i in np.flatnonzero((class_of == label) & of)]
    return sides


def cut_cell(picture: np.ndarray, source: str = '') -> Cell | str:
    """Cut the cell out of a crop.

    The brightest colour is taken for the empty slide, and everything is measured as optical density
    over it (Beer-Lambert): empty slide is then 0, and transparent wherever the cell is pasted, so
    that no seam can show and no colour has to be matched. What is denser and reaches the crop's
    middle is the cell; neighbours that do not are left out.

    Args:
        picture: The crop, BGR, ``uint8``, shape ``(h, w, 3)``. Its cell fills it.
        source: What the crop is called.

    Returns:
        The cell, or why it can't be cut out: ``'too small'``, ``'no empty slide around it'``,
        ``'cut by the edge of its crop'``, ``'nothing in it'``.
    """
    height, width = picture.shape[:2]
    if min(height, width) < _LEAST:
        return 'too small'
    slide, dense = _over_slide(picture)
    if slide.mean() < _BRIGHT or slide.min() < _BRIGHT - 20:
        return 'no empty slide around it'
    solid = _solid(dense, 0.35)
    parts, count = ndimage.label(solid)
    if count == 0:
        return 'nothing in it'
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    core = x**2 + y**2 < 0.3
    area = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    inner = np.bincount(parts[core], minlength=count + 1)[1:]
    border = np.ones_like(solid)
    border[1:-1, 1:-1] = False
    touching = np.bincount(parts[border], minlength=count + 1)[1:]
    # a neighbour lies at the border, and hardly reaches the middle
    kept = (inner > 0.02 * core.sum()) | ((touching == 0) & (area > 0.03 * solid.size))
    if not kept.any():
        return 'nothing in it'
    if touching[kept].sum() > _CUT * border.sum():
        return 'cut by the edge of its crop'
    own = np.isin(parts, np.flatnonzero(kept) + 1)
    # what the opening took off at the border is cut as well
    mask = _soften(own, border & ndimage.binary_dilation(own, iterations=3))
    return Cell(_density(picture, slide, mask), mask, source, slide)


def cut_bystanders(picture: np.ndarray, source: str = '') -> list[Bystander]:
    """Cut out what lies around: debris, neutrophils, and pieces of cells at the crop's border.

    Args:
        picture: The crop, BGR, ``uint8``, shape ``(h, w, 3)``.
        source: What the crop is called.

    Returns:
        Compact pieces of up to a fifth of the crop, whole ones and such that one side, or two that
        meet in a corner, have cut off.
    """
    height, width = picture.shape[:2]
    if min(height, width) < 5 * _LEAST:
        return []
    slide, dense = _over_slide(picture)
    if slide.min() < _BRIGHT - 20:
        return []
    solid = _solid(dense, 0.25).astype(np.uint8)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=4)
    found = []
    for k in range(1, count):
        x, y, w, h, area = stats[k].tolist()
        sides = np.array([x == 0, y == 0, x + w == width, y + h == height])
        if not 25 < area < 0.2 * height * width or (sides[:2] & sides[2:]).any():
            continue
        if sides.any() and area < 1500:
            continue
        own = parts[y : y + h, x : x + w] == k
        contours, _ = cv2.findContours(
            own.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
        )
        if area < 0.78 * cv2.contourArea(cv2.convexHull(np.concatenate(contours))):
            continue
        pad = [(0 if s else 4) for s in sides]
        y1, y2 = max(0, y - pad[1]), min(height, y + h + pad[3])
        x1, x2 = max(0, x - pad[0]), min(width, x + w + pad[2])
        mask = _soften(parts[y1:y2, x1:x2] == k, np.zeros((y2 - y1, x2 - x1), bool))
        density = _density(picture[y1:y2, x1:x2], slide, mask)
        found.append(Bystander(density, tuple(sides.tolist()), source))
    return found


def _over_slide(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure the colour of the empty slide, and the mean optical density over it."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0).astype(np.float32)
    grey = soft.mean(-1)
    slide = np.median(soft[grey >= np.quantile(grey, 0.97)], axis=0)
    return slide, -np.log(np.clip(soft, 4, None) / np.maximum(slide, 4)).mean(-1)


def _solid(dense: np.ndarray, share: float) -> np.ndarray:
    """Tell what is denser than empty slide, from a share of Otsu's threshold on."""
    above = dense > max(_EMPTY, share * _otsu(dense))
    return ndimage.binary_opening(ndimage.binary_fill_holes(above))


def _density(picture: np.ndarray, slide: np.ndarray, mask: np.ndarray) -> np.ndarray:
    density = -np.log(np.clip(picture.astype(np.float32), 4, None) / slide)
    return (density * mask[..., None]).astype(np.float32)


def _otsu(values: np.ndarray) -> float:
    """Return Otsu's threshold of an array of values from 0."""
    top = max(float(values.max()), 1e-3)
    scaled = np.clip(255 * values / top, 0, 255).astype(np.uint8)
    return cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0] / 255 * top


def _soften(own: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Give a silhouette a soft edge, softer and uneven where the crop's border cuts it."""
    reach = 1.5 + 0.01 * max(own.shape)
    padded = np.pad(own, 1)
    outside = ndimage.distance_transform_edt(~padded)[1:-1, 1:-1]
    mask = np.clip(1 - outside / (2 * reach), 0, 1)
    if cut.any():
        fade = max(5.0, 0.15 * min(own.shape))
        away = ndimage.distance_transform_edt(~cut)
        # no straight line: the width of the fade wavers along the border
        rng = np.random.default_rng(own.size)
        noise = rng.uniform(0.5, 1.5, (7, 7)).astype(np.float32)
        waver = cv2.resize(noise, own.shape[::-1], interpolation=cv2.INTER_LINEAR)
        ramp = np.clip((away - 1) / (fade * waver), 0, 1)
        mask = mask * ramp**2 * (3 - 2 * ramp)
    return mask.astype(np.float32)
