# SPDX-License-Identifier: Apache-2.0
"""Organisms: trichomonas, candida, flora (bacterial shift, clue cells), actinomyces."""

import numpy as np

from .brush import (
    Brush,
    Patch,
    Region,
    Specimen,
    stains,
)
from .cells import _folds, _tone


def trichomonas(brush: Brush) -> Specimen:
    """A small pear, grey-green and blurred, with a faint nucleus off its centre."""
    size = brush.uniform(14, 22)
    patch = Patch(brush, size * 2)
    angle = brush.angle()
    theta = np.arange(256) * (2 * np.pi / 256)
    pear = 1 + 0.30 * np.clip(np.cos(theta), 0, 1) ** 6 - 0.10 * np.cos(theta)
    outline = (pear * brush.wavy(0.05)).astype(np.float32)
    body = patch.blob(0, 0, size / 2, aspect=brush.uniform(1.2, 1.55), angle=angle, outline=outline)
    dye = stains(0.13, 0.33, 0.10, 0.15) * brush.uniform(0.8, 1.2)
    patch.cytoplasm(body, dye, texture=0.22, edge=0.1)
    shift = -size * brush.uniform(0.12, 0.2)
    x, y = shift * np.cos(angle + 0.5), shift * np.sin(angle + 0.5)
    nucleus = patch.blob(x, y, 1.7, aspect=1.9, angle=angle + brush.uniform(-0.5, 0.5))
    patch.nucleus(nucleus, darkness=brush.uniform(0.38, 0.55), coarse=0.1, membrane=0.0, smudge=0.8)
    granules = brush.rng.normal(0, size * 0.14, (7, 2))
    patch.dots(granules, 0.35, stains(0.1, 0, 0.45, 0), 0.6)
    return patch.finish(defocus_um=brush.uniform(0.25, 0.7))


def _hypha(brush: Brush, start: np.ndarray, heading: float, length: float) -> np.ndarray:
    """Points (n, 2) of a filament that bends gently, 1 um apart."""
    n = max(4, int(length))
    turns = np.cumsum(brush.rng.normal(0, 0.035, n) + brush.rng.normal(0, 0.008))
    steps = np.stack([np.cos(heading + turns), np.sin(heading + turns)], 1)
    return np.concatenate([start[None], start + np.cumsum(steps, 0)])


def candida(brush: Brush) -> Specimen:
    """Pseudohyphae with constrictions that branch at sharp angles, and budding yeasts."""
    patch = Patch(brush, 150)
    shade = brush.uniform(0, 1)
    dye = stains(0.24, 0.50 * (1 - shade), 0.62 * shade + 0.08, 0.12 * shade)
    width = brush.uniform(1.9, 2.7)
    length = brush.uniform(38, 72)
    heading = brush.angle()
    lead = _hypha(
        brush, -0.5 * length * np.array([np.cos(heading), np.sin(heading)]), heading, length
    )
    lines = [lead]
    for _ in range(int(brush.rng.integers(1, 4))):
        at = int(brush.uniform(0.1, 0.7) * len(lead))
        side = float(brush.rng.choice([-1, 1])) * brush.uniform(0.35, 0.8)
        along = lead[min(at + 3, len(lead) - 1)] - lead[at]
        lines.append(
            _hypha(
                brush,
                lead[at],
                float(np.arctan2(along[1], along[0])) + side,
                length * brush.uniform(0.3, 0.6),
            )
        )
    buds = []
    for line in lines:
        # Segments of 9 to 14 um with a constriction (a septum) between them.
        pitch = int(brush.rng.integers(9, 15))
        patch.strokes([line], width * 0.55, dye, 0.9)
        cells = [line[i + 1 : i + pitch] for i in range(0, len(line) - 2, pitch)]
        patch.strokes([c for c in cells if len(c) > 2], width, dye, 0.75)
        patch.strokes([c[1:-1] for c in cells if len(c) > 5], width * 0.4, -dye, 0.35, False)
        for knot in line[pitch::pitch]:
            if brush.chance(0.55):
                buds.append(knot + brush.rng.normal(0, 1.5, 2))
    for _ in range(int(brush.rng.integers(3, 9))):
        spot = lines[int(brush.rng.integers(0, len(lines)))]
        buds.append(spot[int(brush.rng.integers(0, len(spot)))] + brush.rng.normal(0, 4.5, 2))
    for x, y in buds:
        size, angle = brush.uniform(1.5, 2.1), brush.angle()
        yeast = patch.blob(x, y, size, aspect=1.4, angle=angle)
        patch.cytoplasm(yeast, dye, edge=0.6, texture=0.05)
        if brush.chance(0.4):
            bud = patch.blob(x + 2.6 * np.cos(angle), y + 2.6 * np.sin(angle), size * 0.6)
            patch.cytoplasm(bud, dye, edge=0.6, texture=0.05)
    return patch.finish()


def flora(brush: Brush) -> Specimen:
    """A clue cell: a squamous cell under a carpet of coccobacilli that hides its border."""
    size = brush.uniform(38, 54)
    patch = Patch(brush, size * 2.1)
    outline = brush.polygon(int(brush.rng.integers(5, 8)), 0.03)
    aspect, angle = brush.uniform(1.0, 1.4), brush.angle()
    body = patch.blob(0, 0, size / 2, aspect=aspect, angle=angle, outline=outline)
    dye = _tone(brush, 0.5) * 0.9 + stains(0.06)
    patch.cytoplasm(body, dye, texture=0.12, edge=0.2)
    _folds(patch, body, dye, 1)
    nucleus = patch.blob(
        brush.uniform(-3, 3),
        brush.uniform(-3, 3),
        brush.uniform(3.2, 3.9),
        aspect=brush.uniform(1, 1.3),
        angle=brush.angle(),
    )
    patch.nucleus(nucleus, darkness=0.9, coarse=0.15, membrane=0.2)
    # The carpet: thousands of 1 um rods, densest in patches and along the border.
    density = 1.0 + 0.55 * brush.noise('coarse', *body.sdf.shape)
    density += 0.9 * np.exp(-((body.sdf / np.float32(3.0 * brush.ppu)) ** 2))
    carpet = np.clip(body.sdf / np.float32(brush.ppu) + 1.3, 0, 1) * np.clip(density, 0, 3)
    grain = np.clip(brush.noise('fine', *body.sdf.shape) + 0.3, 0, None)
    film = brush.uniform(0.30, 0.45)
    patch.add(body, stains(1.0, 0.10, 0.32, 0.0), carpet * (0.35 + 0.75 * grain) * film)
    count = 420
    theta = brush.rng.uniform(0, 2 * np.pi, count)
    reach = outline[(theta / (2 * np.pi) * 256).astype(int)] * size / 2
    reach = reach + brush.rng.normal(0.2, 1.1, count)
    u, v = reach * np.cos(theta) * np.sqrt(aspect), reach * np.sin(theta) / np.sqrt(aspect)
    rods = np.stack(
        [u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)], 1
    )
    patch.dots(rods, 0.26, stains(0.9, 0.1, 0.3), 0.9, aspect=2.0)
    fringe = patch.blob(0, 0, size / 2 + 0.8, aspect=aspect, angle=angle, outline=outline)
    patch.silhouette(fringe)
    return patch.finish()


def actinomyces(brush: Brush) -> Specimen:
    """A dark woolly ball of tangled filaments that stick out of its border."""
    size = brush.uniform(34, 56)
    patch = Patch(brush, size * 2.2)
    shade = brush.uniform(0, 1)
    dye = stains(1.0, 0.12 + 0.25 * shade, 0.22 * (1 - shade) + 0.1, 0.30 * shade)
    outline = brush.wavy(0.13, lobes=(2, 3, 4, 5, 7))
    aspect, angle = brush.uniform(1.0, 1.6), brush.angle()
    core = patch.blob(0, 0, size / 2, aspect=aspect, angle=angle, outline=outline)
    shape = core.sdf.shape
    depth = np.clip(core.sdf / np.float32(size * 0.30 * brush.ppu), -1, 1)
    fuzz = depth + 0.10 * brush.noise('mid', *shape) + 0.22 * brush.noise('coarse', *shape)
    body = np.clip(fuzz + 0.10, 0, 1) ** 1.3
    body *= 1.0 + 0.16 * brush.noise('chromatin', *shape) + 0.12 * brush.noise('mid', *shape)
    patch.add(core, dye, np.clip(body, 0, None) * brush.uniform(1.6, 2.2))
    count = int(230 * size / 45)
    theta = brush.rng.uniform(0, 2 * np.pi, count)
    edge = outline[(theta / (2 * np.pi) * 256).astype(int)] * size / 2
    hairs = []
    for t, r in zip(theta, edge, strict=True):
        n = 9
        tip = r * brush.uniform(0.85, 1.2)
        radial = np.linspace(r * brush.uniform(0.4, 0.75), tip, n)
        bend = t + np.cumsum(brush.rng.normal(0, 0.035, n))
        u, v = radial * np.cos(bend) * np.sqrt(aspect), radial * np.sin(bend) / np.sqrt(aspect)
        hairs.append(
            np.stack(
                [u * np.cos(angle) - v * np.sin(angle), u * np.sin(angle) + v * np.cos(angle)], 1
            )
        )
    for part in range(3):  # crossing filaments are darker than one
        patch.strokes(hairs[part::3], 0.45, dye, 0.55)
    patch.silhouette(Region(core.rows, core.cols, core.sdf - np.float32(1.5 * brush.ppu)))
    return patch.finish()
