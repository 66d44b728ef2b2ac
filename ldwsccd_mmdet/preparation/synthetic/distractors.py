# SPDX-License-Identifier: Apache-2.0
"""What lies between the cells without a box: neutrophils, blood, bare nuclei, debris, mucus."""

import numpy as np

from .brush import (
    Brush,
    Patch,
    Specimen,
    stains,
)


def neutrophil(brush: Brush) -> Specimen:
    """Two to four dark lobes in a pale cell of 10 um."""
    patch = Patch(brush, 20)
    body = patch.blob(0, 0, brush.uniform(4.6, 5.8), outline=brush.wavy(0.07))
    patch.cytoplasm(body, stains(0.05, 0.10, 0.07), texture=0.3, edge=0.3)
    count, start = int(brush.rng.integers(2, 5)), brush.angle()
    for k in range(count):
        theta = start + k * brush.uniform(1.2, 2.0)
        lobe = patch.blob(
            2.0 * np.cos(theta),
            2.0 * np.sin(theta),
            brush.uniform(1.35, 1.9),
            aspect=brush.uniform(1, 1.4),
            angle=brush.angle(),
        )
        patch.nucleus(lobe, darkness=1.5, coarse=0.1, membrane=0.0)
    return patch.finish(defocus_um=brush.uniform(0, 0.5))


def lymphocyte(brush: Brush) -> Specimen:
    """A small round dark nucleus with almost no cytoplasm: easily taken for a tiny hsil cell."""
    patch = Patch(brush, 16)
    body = patch.blob(0, 0, brush.uniform(3.6, 4.3))
    patch.cytoplasm(body, stains(0.05, 0.25, 0.03))
    nucleus = patch.blob(brush.uniform(-0.4, 0.4), 0, brush.uniform(2.9, 3.4))
    patch.nucleus(nucleus, darkness=1.35, coarse=0.2, membrane=0.1)
    return patch.finish()


def bare_nucleus(brush: Brush) -> Specimen:
    """A degenerate, smudged nucleus of normal size without its cell."""
    patch = Patch(brush, 16)
    nucleus = patch.blob(
        0,
        0,
        brush.uniform(3.0, 3.9),
        aspect=brush.uniform(1, 1.6),
        angle=brush.angle(),
        outline=brush.wavy(0.05),
    )
    patch.nucleus(nucleus, darkness=brush.uniform(0.5, 0.9), coarse=0.1, membrane=0.1, smudge=0.8)
    patch.silhouette(nucleus)
    return patch.finish(defocus_um=brush.uniform(0.2, 1.0))


def red_cell(brush: Brush) -> Specimen:
    """An erythrocyte: a pale pink-orange disc of 7 um."""
    patch = Patch(brush, 14)
    disc = patch.blob(
        0,
        0,
        brush.uniform(3.1, 3.8),
        aspect=brush.uniform(1, 1.25),
        angle=brush.angle(),
        outline=brush.wavy(0.03),
    )
    patch.cytoplasm(disc, stains(0, 0, 0.22, 0.10), thin=0.4, edge=0.3)
    return patch.finish()


def granular_debris(brush: Brush) -> Specimen:
    """A smudge of broken cells."""
    size = brush.uniform(8, 20)
    patch = Patch(brush, size * 2.2)
    smear = patch.blob(
        0, 0, size / 2, aspect=brush.uniform(1, 2), angle=brush.angle(), outline=brush.wavy(0.2)
    )
    grain = np.clip(0.5 + 0.6 * brush.noise('mid', *smear.sdf.shape), 0, None)
    fade = np.clip(smear.sdf / np.float32(size * 0.25 * brush.ppu), 0, 1)
    dye = stains(brush.uniform(0.05, 0.3), brush.uniform(0, 0.25), brush.uniform(0, 0.25), 0.03)
    patch.add(smear, dye, grain * fade)
    patch.silhouette(smear)
    return patch.finish(defocus_um=brush.uniform(0.2, 1.2))


def mucus(brush: Brush) -> Specimen:
    """A bundle of faint strands."""
    length = brush.uniform(60, 150)
    patch = Patch(brush, length * 1.25)
    heading = brush.angle()
    lines = []
    for _ in range(int(brush.rng.integers(6, 16))):
        n = 24
        s = np.linspace(-0.5, 0.5, n) * length * brush.uniform(0.5, 1.0)
        drift = brush.rng.normal(0, 0.2)
        offset = brush.rng.normal(0, 4) + np.cumsum(brush.rng.normal(drift, 0.8, n))
        lines.append(
            np.stack(
                [
                    s * np.cos(heading) - offset * np.sin(heading),
                    s * np.sin(heading) + offset * np.cos(heading),
                ],
                1,
            )
        )
    dye = stains(0.06, brush.uniform(0.05, 0.3), brush.uniform(0.02, 0.12), 0)
    for line in lines:
        patch.strokes([line], brush.uniform(0.3, 1.0), dye, brush.uniform(0.3, 0.9))
    return patch.finish(defocus_um=brush.uniform(0.4, 1.4))
