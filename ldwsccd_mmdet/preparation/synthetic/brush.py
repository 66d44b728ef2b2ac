# SPDX-License-Identifier: Apache-2.0
"""Brushes: outlines, textures and patches from which all synthetic specimens are painted.

A specimen is painted as amounts of the four dyes of the Papanicolaou stain, not as colours. Amounts
of overlapping cells add up, and light passes through them by Beer-Lambert's law, as in the
microscope. Lengths are given in micrometres and turned into pixels by the brush.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

HEMATOXYLIN, LIGHT_GREEN, EOSIN, ORANGE_G = range(4)
NUM_STAINS = 4
TABLE_SIZE = 256
_NOISE_SIZE = 512


@dataclass
class Specimen:
    """One painted thing.

    Attributes:
        amount: Amounts of dye, float32 of shape (h, w, NUM_STAINS).
        mask: The thing's own silhouette, bool of shape (h, w). Its bounding box is the thing's box.
        label: Index into the smear's classes, -1 for things that carry no box.
    """

    amount: np.ndarray
    mask: np.ndarray
    label: int = -1


@dataclass
class Region:
    """A window of a patch with a distance to an outline, in pixels, positive inside."""

    rows: slice
    cols: slice
    sdf: np.ndarray

    @property
    def cover(self) -> np.ndarray:
        """Share of each pixel that lies inside the outline, 0 to 1."""
        return np.clip(self.sdf + 0.5, 0.0, 1.0)


def stains(
    hematoxylin: float = 0.0, light_green: float = 0.0, eosin: float = 0.0, orange_g: float = 0.0
) -> np.ndarray:
    """Amounts of the four dyes as one vector of shape (NUM_STAINS, )."""
    return np.array([hematoxylin, light_green, eosin, orange_g], dtype=np.float32)


class Brush:
    """Random shapes and textures at one scale.

    Args:
        rng: Source of randomness; each specimen's shape comes from it alone.
        noise: The bank made by :func:`noise_bank` for the same scale.
        pixels_per_um: Pixels per micrometre.
    """

    def __init__(
        self, rng: np.random.Generator, noise: dict[str, np.ndarray], pixels_per_um: float
    ) -> None:
        self.rng = rng
        self.noise_tiles = noise
        self.ppu = pixels_per_um

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def angle(self) -> float:
        """A direction in radians."""
        return self.uniform(0.0, 2 * np.pi)

    def noise(self, kind: str, height: int, width: int) -> np.ndarray:
        """A random window of a texture of mean 0 and standard deviation 1."""
        tile = self.noise_tiles[kind]
        top, left = self.rng.integers(0, _NOISE_SIZE, 2)
        rows = (top + np.arange(height)) % _NOISE_SIZE
        cols = (left + np.arange(width)) % _NOISE_SIZE
        return tile[rows[:, None], cols[None]]

    def wavy(
        self, irregularity: float, lobes: Sequence[int] = (2, 3, 4, 5), notch: float = 0.0
    ) -> np.ndarray:
        """Relative radius over the angle, a circle with random waves and, if asked, one notch."""
        theta = np.arange(TABLE_SIZE) * (2 * np.pi / TABLE_SIZE)
        orders = np.asarray(lobes, dtype=np.float64)
        weights = self.rng.normal(0.0, irregularity, len(orders)) / np.sqrt(orders - 1.0)
        phases = self.rng.uniform(0, 2 * np.pi, len(orders))
        table = 1 + (weights[:, None] * np.cos(orders[:, None] * theta + phases[:, None])).sum(0)
        if notch > 0:
            offset = np.angle(np.exp(1j * (theta - self.angle())))
            table -= notch * np.exp(-((offset / 0.3) ** 2))
        return np.clip(table, 0.35, 1.6).astype(np.float32)

    def polygon(self, corners: int, roughness: float = 0.02) -> np.ndarray:
        """Relative radius over the angle of a convex polygon with rounded corners."""
        theta = np.arange(TABLE_SIZE) * (2 * np.pi / TABLE_SIZE)
        normals = (np.arange(corners) + self.rng.uniform(-0.32, 0.32, corners)) * (
            2 * np.pi / corners
        ) + self.angle()
        reach = self.rng.uniform(0.72, 1.0, corners)
        facing = np.cos(theta[None] - normals[:, None])
        radius = np.where(facing > 0.15, reach[:, None] / np.maximum(facing, 0.15), 9.0).min(0)
        radius = np.minimum(radius, 1.45)
        kernel = np.hanning(17)
        padded = np.concatenate([radius[-8:], radius, radius[:8]])
        radius = np.convolve(padded, kernel / kernel.sum(), mode='valid')
        ripple = self.wavy(roughness, lobes=(3, 5, 7, 9, 13, 17, 23, 31)) - 1.0
        return (radius + ripple).astype(np.float32)


class Patch:
    """A small canvas of dye amounts, with its origin in the middle and lengths in micrometres."""

    def __init__(self, brush: Brush, width_um: float, height_um: float | None = None) -> None:
        self.brush = brush
        height_um = width_um if height_um is None else height_um
        self.height = max(3, round(height_um * brush.ppu))
        self.width = max(3, round(width_um * brush.ppu))
        self.amount = np.zeros((self.height, self.width, NUM_STAINS), np.float32)
        self.cover = np.zeros((self.height, self.width), np.float32)

    def coordinates(
        self, x: float, y: float, reach: float | None = None
    ) -> tuple[slice, slice, np.ndarray, np.ndarray]:
        """Window around (x, y) and each pixel's offset from that point, in pixels."""
        ppu = self.brush.ppu
        cx, cy = self.width / 2 + x * ppu, self.height / 2 + y * ppu
        if reach is None:
            rows, cols = slice(0, self.height), slice(0, self.width)
        else:
            r = reach * ppu + 2
            rows = slice(max(0, int(cy - r)), max(0, min(self.height, int(cy + r) + 1)))
            cols = slice(max(0, int(cx - r)), max(0, min(self.width, int(cx + r) + 1)))
        xs = np.arange(cols.start, cols.stop, dtype=np.float32) + np.float32(0.5 - cx)
        ys = np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - cy)
        return rows, cols, xs[None, :], ys[:, None]

    def blob(
        self,
        x: float,
        y: float,
        radius: float,
        *,
        aspect: float = 1.0,
        angle: float = 0.0,
        outline: np.ndarray | None = None,
    ) -> Region:
        """An ellipse of mean ``radius`` (um), long over short side ``aspect``, with an outline."""
        major, minor = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
        peak = 1.0 if outline is None else float(outline.max())
        rows, cols, dx, dy = self.coordinates(x, y, major * peak + 1.0)
        ppu, cos, sin = self.brush.ppu, np.float32(np.cos(angle)), np.float32(np.sin(angle))
        u = (dx * cos + dy * sin) / np.float32(major * ppu)
        v = (dy * cos - dx * sin) / np.float32(minor * ppu)
        if outline is None or u.size == 0:
            rho: np.ndarray = np.sqrt(u * u + v * v)
            edge: np.ndarray | float = 1.0
        else:
            rho, theta = cv2.cartToPolar(u, v)
            index = (theta * np.float32(TABLE_SIZE / (2 * np.pi))).astype(np.int32) % TABLE_SIZE
            edge = outline[index]
        return Region(rows, cols, (edge - rho) * np.float32(radius * ppu))

    def spindle(
        self,
        length: float,
        width: float,
        *,
        angle: float,
        bend: float,
        head: float,
        sharpness: float,
    ) -> Region:
        """A bent spindle through the middle.

        Args:
            length: From tip to tip, um.
            width: At the thickest place, um.
            angle: Direction of the axis, radians.
            bend: Offset of the middle from the straight line, as a share of the length.
            head: Where the thickest place lies, -1 to 1 along the axis: 0 is a spindle, near 1
                or -1 a tadpole.
            sharpness: Exponent of the taper: 1 blunt, 2 and more thin tails.
        """
        rows, cols, dx, dy = self.coordinates(0.0, 0.0)
        ppu, cos, sin = self.brush.ppu, np.float32(np.cos(angle)), np.float32(np.sin(angle))
        s = (dx * cos + dy * sin) / np.float32(length * ppu / 2)
        v = (dy * cos - dx * sin) / np.float32(ppu) - np.float32(bend * length) * (1 - s * s)
        span = np.where(s > head, 1 - head, 1 + head).astype(np.float32)
        t = np.clip(1 - np.abs(s - head) / np.maximum(span, 0.08), 0, 1)
        taper = np.where(span < 0.75, np.sqrt(np.clip(1 - (1 - t) ** 2, 0, 1)), t**sharpness)
        # A tail stays one pixel wide to its tip, so that the silhouette holds all of it.
        half = np.maximum(np.float32(width / 2) * taper, np.float32(0.55 / ppu))
        sdf = (half - np.abs(v)) * np.float32(ppu)
        wobble = self.brush.noise('coarse', *sdf.shape) * np.float32(0.035 * width * ppu)
        sdf = np.where(np.abs(s) < 1, sdf + wobble * (half > 0.1 * width), -9.0)
        return Region(rows, cols, sdf.astype(np.float32))

    def add(self, region: Region, dye: np.ndarray, value: np.ndarray | float) -> None:
        """Adds ``value`` times the dye vector inside a region; ``value`` includes the cover."""
        value = np.asarray(value, np.float32)
        for index in np.flatnonzero(dye):
            self.amount[region.rows, region.cols, index] += value * dye[index]

    def silhouette(self, region: Region) -> None:
        """Counts a region as part of the thing's own silhouette."""
        view = self.cover[region.rows, region.cols]
        np.maximum(view, region.cover, out=view)

    def cytoplasm(
        self,
        region: Region,
        dye: np.ndarray,
        *,
        texture: float = 0.12,
        edge: float = 0.15,
        thin: float = 0.0,
        crowded: bool = False,
    ) -> None:
        """Fills a region: grainy, a little denser at the edge, thinner in the middle if asked.

        Args:
            region: Its outline.
            dye: Amounts of the dyes at full thickness.
            texture: Contrast of the grain.
            edge: Extra share along the border.
            thin: Share taken away in the middle.
            crowded: Cells of one group share their room instead of lying upon each other.
        """
        brush, sdf = self.brush, region.sdf
        shape = sdf.shape
        grain = 0.7 * brush.noise('coarse', *shape) + 0.5 * brush.noise('mid', *shape)
        body = 1 + texture * grain
        if thin > 0:
            body -= thin * np.clip(sdf / max(float(sdf.max()), 1.0), 0, 1)
        rim = np.exp(-((sdf / np.float32(max(1.0, 0.9 * brush.ppu))) ** 2))
        value = region.cover * np.clip(body + edge * rim, 0.05, None)
        if crowded:
            view = self.amount[region.rows, region.cols]
            new = value[..., None] * dye
            view[...] = np.maximum(view, new) + 0.2 * np.minimum(view, new)
        else:
            self.add(region, dye, value)
        self.silhouette(region)

    def nucleus(
        self,
        region: Region,
        *,
        darkness: float,
        coarse: float = 0.15,
        membrane: float = 0.2,
        pale: float = 0.0,
        smudge: float = 0.0,
        tint: np.ndarray | None = None,
    ) -> None:
        """Paints a nucleus.

        Args:
            region: Its outline.
            darkness: Amount of hematoxylin: 0.7 vesicular, 1.2 hyperchromatic, 2 ink-black.
            coarse: Contrast of the chromatin's clumps: 0.1 fine, 0.5 coarse.
            membrane: Extra amount along the nuclear membrane.
            pale: Share taken away in the middle (vesicular, ground glass).
            smudge: Width in um of a fuzzy edge; 0 is a crisp one.
            tint: Other dyes in it.
        """
        brush, sdf = self.brush, region.sdf
        shape = sdf.shape
        grain = 0.8 * brush.noise('chromatin', *shape) + 0.4 * brush.noise('fine', *shape)
        depth = np.clip(sdf / max(float(sdf.max()), 1.0), 0, 1)
        body = darkness * (1 - pale * depth) * (1 + coarse * grain)
        line = np.float32(max(0.8, 0.45 * brush.ppu))
        rim = membrane * np.exp(-(((sdf - line) / line) ** 2))
        cover = region.cover
        if smudge > 0:
            cover = np.clip(sdf / np.float32(smudge * brush.ppu + 1) + 0.5, 0, 1)
        value = cover * np.clip(body + rim, 0.05, None)
        view = self.amount[region.rows, region.cols, HEMATOXYLIN]
        # Nuclei of one group crowd and mould each other more than they lie upon each other.
        view[...] = np.maximum(view, value) + 0.3 * np.minimum(view, value)
        if tint is not None:
            self.add(region, tint, cover)

    def strokes(
        self,
        lines: list[np.ndarray],
        width_um: float,
        dye: np.ndarray,
        strength: float = 1.0,
        silhouette: bool = True,
    ) -> None:
        """Draws polylines (points in um from the middle) of one width."""
        if not lines:
            return
        ink = np.zeros((self.height, self.width), np.uint8)
        ppu = self.brush.ppu
        offset = np.array([self.width / 2 - 0.5, self.height / 2 - 0.5])
        points = [np.round((line * ppu + offset) * 16).astype(np.int32) for line in lines]
        thickness = max(1, round(width_um * ppu))
        cv2.polylines(ink, points, False, 255, thickness, cv2.LINE_AA, 4)
        # A line is at least one pixel wide: a thinner one is drawn fainter instead.
        value = ink.astype(np.float32) * (min(1.0, width_um * ppu / thickness) / 255)
        whole = Region(slice(0, self.height), slice(0, self.width), value - 0.5)
        self.add(whole, dye, value * strength)
        if silhouette:
            np.maximum(self.cover, ink.astype(np.float32) / 255, out=self.cover)

    def dots(
        self,
        xy: np.ndarray,
        radius_um: float,
        dye: np.ndarray,
        strength: float,
        aspect: float = 1.0,
    ) -> None:
        """Adds many small dots or rods at once: points (n, 2) in um from the middle."""
        ppu = self.brush.ppu
        ink = np.zeros((self.height, self.width), np.uint8)
        offset = np.array([self.width / 2 - 0.5, self.height / 2 - 0.5])
        directions = self.brush.rng.uniform(0, np.pi, len(xy))
        half = np.stack([np.cos(directions), np.sin(directions)], 1) * radius_um * (aspect - 1)
        ends = np.stack([xy - half, xy + half], 1) * ppu + offset
        thickness = max(1, round(2 * radius_um * ppu))
        cv2.polylines(
            ink, list(np.round(ends * 16).astype(np.int32)), False, 255, thickness, cv2.LINE_AA, 4
        )
        faint = min(1.0, 2 * radius_um * ppu / thickness)
        whole = Region(slice(0, self.height), slice(0, self.width), np.zeros(0, np.float32))
        self.add(whole, dye, ink.astype(np.float32) * (faint * strength / 255))

    def finish(self, label: int = -1, defocus_um: float = 0.0) -> Specimen:
        """Cuts the patch to what was painted.

        The silhouette is taken before the blur: the box bounds the thing, not its blur.
        """
        mask = self.cover >= 0.5
        amount: np.ndarray = self.amount
        margin = 2
        sigma = defocus_um * self.brush.ppu
        if sigma > 0.2:
            margin += int(np.ceil(2.5 * sigma))
            amount = cv2.copyMakeBorder(
                amount, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
            )
            mask = np.pad(mask, margin)
            amount = cv2.GaussianBlur(amount, (0, 0), sigma)
        else:
            amount, mask = np.pad(amount, ((2, 2), (2, 2), (0, 0))), np.pad(mask, 2)
        painted = mask | (amount.max(2) > 0.02)
        rows, cols = np.flatnonzero(painted.any(1)), np.flatnonzero(painted.any(0))
        if not len(rows):
            return Specimen(amount, mask, label)
        cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        return Specimen(np.ascontiguousarray(amount[cut]), np.ascontiguousarray(mask[cut]), label)


def noise_bank(pixels_per_um: float) -> dict[str, np.ndarray]:
    """Textures that wrap around, of mean 0 and standard deviation 1, the same for every smear."""
    rng = np.random.default_rng(20250)
    bank = {}
    for kind, size_um in dict(fine=0.35, chromatin=0.75, mid=1.6, coarse=5.0, broad=18.0).items():
        sigma = max(0.45, size_um * pixels_per_um)
        white = rng.standard_normal((_NOISE_SIZE, _NOISE_SIZE)).astype(np.float32)
        pad = min(_NOISE_SIZE, int(3 * sigma) + 2)
        smooth = cv2.GaussianBlur(np.pad(white, pad, mode='wrap'), (0, 0), sigma)
        smooth = smooth[pad:-pad, pad:-pad]
        bank[kind] = np.ascontiguousarray((smooth - smooth.mean()) / smooth.std())
    return bank
