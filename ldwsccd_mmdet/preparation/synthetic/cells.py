# SPDX-License-Identifier: Apache-2.0
"""Epithelial cells: normal squamous cells, and the classes ascus, asch, lsil, hsil, scc, agc.

Sizes follow the Bethesda System (Nayar and Wilbur, 3rd edition): an intermediate nucleus measures
about 35 square um (7 um across); ASC-US nuclei have 2.5 to 3 times that area, LSIL nuclei more than
3 times, with a koilocytic halo; ASC-H cells are small metaplastic cells of raised nuclear to
cytoplasmic ratio; HSIL cells have still less cytoplasm, dark coarse chromatin and a folded
membrane.
"""

import numpy as np

from .brush import (
    HEMATOXYLIN,
    Brush,
    Patch,
    Region,
    Specimen,
    stains,
)

INTERMEDIATE_NUCLEUS_UM = 7.0


def _tone(brush: Brush, mature: float = 0.4) -> np.ndarray:
    """Dyes of a squamous cytoplasm; ``mature`` is the chance of a pink or orange one."""
    rng = brush.rng
    if brush.chance(mature):
        if brush.chance(0.2):
            dye = stains(0.02, 0.02, 0.12, 0.30)
        else:
            dye = stains(0.03, 0.03, 0.42, 0.03)
    else:
        dye = stains(0.04, 0.44, 0.02, 0.0)
    return (dye * np.exp(rng.normal(0, 0.18)) + rng.uniform(0, 0.035, 4) * (0.4, 1, 1, 0.2)).astype(
        np.float32
    )


def _dense_tone(brush: Brush) -> np.ndarray:
    """Dyes of a thick, metaplastic or parabasal cytoplasm."""
    return (stains(0.10, 0.72, 0.05, 0.0) * brush.uniform(0.8, 1.2)).astype(np.float32)


def _folds(patch: Patch, region: Region, dye: np.ndarray, count: int) -> None:
    """A few creases: short dark straight lines inside the cytoplasm."""
    rng, ppu = patch.brush.rng, patch.brush.ppu
    height, width = region.sdf.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    cols = np.arange(width, dtype=np.float32)[None]
    for _ in range(count):
        angle, at = rng.uniform(0, np.pi), rng.uniform(0.15, 0.4) * rng.choice([-1, 1])
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        across = (cols - width / 2) * cos + (rows - height / 2) * sin - np.float32(at * width)
        along = (rows - height / 2) * cos - (cols - width / 2) * sin
        bow = across - along * along * np.float32(rng.uniform(-0.004, 0.004) / ppu)
        crease = np.exp(-np.abs(bow) / np.float32(max(0.8, 0.8 * ppu)))
        crease *= along > rng.uniform(-20, 0) * ppu
        patch.add(region, dye, region.cover * crease * 0.55)


def _squamous_body(
    brush: Brush, size_um: float, dye: np.ndarray, thin: float = 0.15
) -> tuple[Patch, Region]:
    """A flat polygonal cell with creases; the common ground of normal, ascus and lsil."""
    patch = Patch(brush, size_um * 2.0)
    outline = brush.polygon(int(brush.rng.integers(5, 9)), 0.015)
    region = patch.blob(
        0, 0, size_um / 2, aspect=brush.uniform(1.0, 1.45), angle=brush.angle(), outline=outline
    )
    patch.cytoplasm(region, dye, texture=0.10, edge=0.30, thin=thin)
    wrinkles = np.exp(-((brush.noise('coarse', *region.sdf.shape) / 0.14) ** 2))
    patch.add(region, dye, region.cover * wrinkles * brush.uniform(0.05, 0.25))
    _folds(patch, region, dye, int(brush.rng.integers(0, 3)))
    return patch, region


def squamous(brush: Brush, mature: float | None = None) -> Specimen:
    """A normal superficial (pink, pyknotic nucleus) or intermediate (blue-green) cell."""
    superficial = brush.chance(0.4 if mature is None else mature)
    dye = _tone(brush, 1.0 if superficial else 0.08)
    patch, _ = _squamous_body(brush, brush.uniform(42, 58), dye)
    x, y = brush.rng.uniform(-4, 4, 2)
    if superficial:
        nucleus = patch.blob(
            x, y, brush.uniform(2.3, 3.0), aspect=brush.uniform(1, 1.25), angle=brush.angle()
        )
        patch.nucleus(nucleus, darkness=1.25, coarse=0.05, membrane=0.0)
    else:
        nucleus = patch.blob(
            x, y, brush.uniform(3.3, 4.0), aspect=brush.uniform(1, 1.3), angle=brush.angle()
        )
        patch.nucleus(nucleus, darkness=0.62, coarse=0.18, membrane=0.25, pale=0.15)
    if superficial and brush.chance(0.35):
        spots = brush.rng.normal(0, 9, (int(brush.rng.integers(10, 40)), 2))
        patch.dots(spots, 0.35, stains(0.25), 1.0)
    return patch.finish()


def parabasal(brush: Brush) -> Specimen:
    """A normal round immature cell: dense cytoplasm, bland nucleus of a third of its width."""
    size = brush.uniform(17, 24)
    patch = Patch(brush, size * 1.8)
    body = patch.blob(
        0, 0, size / 2, aspect=brush.uniform(1, 1.3), angle=brush.angle(), outline=brush.wavy(0.03)
    )
    patch.cytoplasm(body, _dense_tone(brush) * 0.75, edge=0.15)
    x, y = brush.uniform(-1.5, 1.5), brush.uniform(-1.5, 1.5)
    nucleus = patch.blob(
        x, y, brush.uniform(3.4, 4.1), aspect=brush.uniform(1, 1.2), angle=brush.angle()
    )
    patch.nucleus(nucleus, darkness=0.7, coarse=0.12, membrane=0.2, pale=0.15)
    return patch.finish()


def ascus(brush: Brush) -> Specimen:
    """ASC-US: a mature cell with a nucleus of 2.5 to 3 times the normal area, and no halo."""
    patch, _ = _squamous_body(brush, brush.uniform(42, 54), _tone(brush, 0.35))
    radius = INTERMEDIATE_NUCLEUS_UM / 2 * np.sqrt(brush.uniform(2.5, 3.1))
    centres = [brush.rng.uniform(-4, 4, 2)]
    if brush.chance(0.15):
        step = np.array([np.cos(a := brush.angle()), np.sin(a)]) * radius * 0.85
        centres = [centres[0] - step, centres[0] + step]
        radius *= 0.9
    for x, y in centres:
        nucleus = patch.blob(
            x,
            y,
            radius,
            aspect=brush.uniform(1.05, 1.45),
            angle=brush.angle(),
            outline=brush.wavy(0.045),
        )
        patch.nucleus(
            nucleus, darkness=brush.uniform(0.72, 0.92), coarse=0.22, membrane=0.30, pale=0.15
        )
    return patch.finish()


def lsil(brush: Brush) -> Specimen:
    """LSIL: nucleus above 3 times the normal area, dark and wrinkled, in a koilocytic cavity."""
    dye = _tone(brush, 0.35) * 1.15
    size = brush.uniform(46, 60)
    patch, body = _squamous_body(brush, size, dye, thin=0.0)
    x, y = brush.rng.uniform(-3, 3, 2)
    radius = INTERMEDIATE_NUCLEUS_UM / 2 * np.sqrt(brush.uniform(3.4, 5.2))
    two = brush.chance(0.4)
    if brush.chance(0.92):
        # The cavity: emptied cytoplasm with a sharp rim, and a condensed band around it.
        shift_x, shift_y = brush.rng.uniform(-2.2, 2.2, 2)
        cavity = patch.blob(
            x + shift_x,
            y + shift_y,
            radius * (1.95 if two else 1.7) * brush.uniform(0.9, 1.2),
            aspect=brush.uniform(1, 1.45),
            angle=brush.angle(),
            outline=brush.wavy(0.12, lobes=(2, 3, 4, 5, 7)),
        )
        view = patch.amount[cavity.rows, cavity.cols]
        cleared = brush.uniform(0.6, 0.88) + 0.07 * brush.noise('mid', *cavity.sdf.shape)
        view *= 1 - np.clip(cleared, 0, 1)[..., None] * cavity.cover[..., None]
        width = brush.uniform(1.4, 3.2)
        band = np.exp(
            -(((cavity.sdf + 0.8 * width * brush.ppu) / np.float32(width * brush.ppu)) ** 2)
        )
        inside = patch.cover[cavity.rows, cavity.cols] * (1 - cavity.cover)
        patch.add(cavity, dye, band * inside * brush.uniform(0.35, 0.85))
    centres = [np.array([x, y]) + brush.rng.uniform(-1.5, 1.5, 2)]
    if two:
        radius *= 0.82
        step = np.array([np.cos(a := brush.angle()), np.sin(a)]) * radius * 0.95
        centres = [centres[0] - step, centres[0] + step]
    for cx, cy in centres:
        nucleus = patch.blob(
            cx,
            cy,
            radius,
            aspect=brush.uniform(1.05, 1.4),
            angle=brush.angle(),
            outline=brush.wavy(0.07, lobes=(2, 3, 5, 7), notch=0.12),
        )
        patch.nucleus(
            nucleus, darkness=brush.uniform(1.05, 1.4), coarse=0.28, membrane=0.15, smudge=0.6
        )
    return patch.finish()


def asch(brush: Brush) -> Specimen:
    """ASC-H: one to three small metaplastic cells, half to two thirds of their width nucleus."""
    count = int(brush.rng.choice([1, 1, 1, 2, 3]))
    patch = Patch(brush, 75)
    heading = brush.angle()
    dye = _dense_tone(brush)
    at = 0.0
    for index in range(count):
        size = brush.uniform(15, 21)
        at += 0 if index == 0 else size * 0.85
        x, y = at * np.cos(heading), at * np.sin(heading)
        x, y = x - (count - 1) * 7 * np.cos(heading), y - (count - 1) * 7 * np.sin(heading)
        body = patch.blob(
            x,
            y,
            size / 2,
            aspect=brush.uniform(1.05, 1.4),
            angle=brush.angle(),
            outline=brush.wavy(0.05),
        )
        patch.cytoplasm(body, dye, texture=0.12, edge=0.35)
        ratio = brush.uniform(0.52, 0.66)
        nucleus = patch.blob(
            x + brush.uniform(-1.2, 1.2),
            y + brush.uniform(-1.2, 1.2),
            size / 2 * ratio,
            aspect=brush.uniform(1.1, 1.4),
            angle=brush.angle(),
            outline=brush.wavy(0.05),
        )
        patch.nucleus(nucleus, darkness=brush.uniform(0.95, 1.2), coarse=0.25, membrane=0.3)
    return patch.finish()


def _packed(brush: Brush, count: int, spacing: float, aspect: float) -> np.ndarray:
    """Centres (count, 2) of a crowded group: a jittered sunflower, stretched and turned."""
    k = np.arange(count) + 0.5
    radius = spacing * 0.56 * np.sqrt(k)
    theta = k * 2.39996 + brush.angle()
    xy = np.stack(
        [radius * np.cos(theta) * np.sqrt(aspect), radius * np.sin(theta) / np.sqrt(aspect)], 1
    )
    xy += brush.rng.normal(0, 0.13 * spacing, xy.shape)
    turn = brush.angle()
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return xy @ rotation.T


def _hsil_nucleus(
    brush: Brush, patch: Patch, x: float, y: float, radius: float, heading: float
) -> None:
    nucleus = patch.blob(
        x,
        y,
        radius,
        aspect=brush.uniform(1.1, 1.7),
        angle=heading + brush.uniform(-0.5, 0.5),
        outline=brush.wavy(0.07, notch=0.28 if brush.chance(0.5) else 0.0),
    )
    patch.nucleus(nucleus, darkness=brush.uniform(0.95, 1.3), coarse=0.36, membrane=0.45, pale=0.1)
    patch.silhouette(nucleus)


def hsil(brush: Brush) -> Specimen:
    """HSIL: a single cell with a scant rim of cytoplasm, or a crowded syncytial group."""
    if brush.chance(0.45):
        size = brush.uniform(15, 20)
        patch = Patch(brush, size * 2.2)
        heading = brush.angle()
        body = patch.blob(
            0, 0, size / 2, aspect=brush.uniform(1.05, 1.5), angle=heading, outline=brush.wavy(0.08)
        )
        patch.cytoplasm(body, _dense_tone(brush) * 0.7, edge=0.2)
        x, y = brush.rng.uniform(-0.8, 0.8, 2)
        _hsil_nucleus(brush, patch, x, y, size / 2 * brush.uniform(0.76, 0.86), heading)
        return patch.finish()
    count = int(brush.rng.integers(5, 17))
    patch = Patch(brush, 130)
    dye = _dense_tone(brush) * 0.6
    heading = brush.angle()
    centres = _packed(brush, count, 10.5, brush.uniform(1.0, 2.0))
    # No borders between the cells: the cytoplasm is one sheet under all nuclei.
    for x, y in centres:
        veil = patch.blob(x, y, brush.uniform(6.5, 8.5), outline=brush.wavy(0.12))
        view = patch.amount[veil.rows, veil.cols]
        np.maximum(view, veil.cover[..., None] * dye, out=view)
        patch.silhouette(veil)
    patch.amount *= 1 + 0.15 * brush.noise('mid', patch.height, patch.width)[..., None]
    for x, y in centres:
        _hsil_nucleus(brush, patch, x, y, brush.uniform(4.8, 6.3), heading)
    return patch.finish()


def scc(brush: Brush) -> Specimen:
    """SCC: keratinised (orange) spindle, tadpole or bizarre cell with an ink-black nucleus."""
    shade = brush.uniform(0, 1)
    dye = stains(0.05, 0.03, 0.20 + 0.25 * shade, 0.85 - 0.5 * shade) * brush.uniform(0.8, 1.15)
    form = brush.rng.choice(['spindle', 'tadpole', 'tadpole', 'bizarre'])
    angle = brush.angle()
    if form == 'bizarre':
        size = brush.uniform(24, 38)
        patch = Patch(brush, size * 2.4)
        body = patch.blob(
            0, 0, size / 2, aspect=brush.uniform(1.2, 2.0), angle=angle, outline=brush.wavy(0.16)
        )
        x, y, length = 0.0, 0.0, size
        width = size * 0.7
    else:
        length = brush.uniform(42, 72)
        width = brush.uniform(9, 13) if form == 'spindle' else brush.uniform(15, 22)
        head = brush.uniform(-0.2, 0.2) if form == 'spindle' else brush.uniform(0.6, 0.75)
        bend = brush.uniform(-0.09, 0.09)
        patch = Patch(brush, length * 1.35)
        body = patch.spindle(
            length,
            width,
            angle=angle,
            bend=bend,
            head=head,
            sharpness=1.1 if form == 'spindle' else 2.2,
        )
        lift = bend * length * (1 - head * head)
        x = head * length / 2 * np.cos(angle) - lift * np.sin(angle)
        y = head * length / 2 * np.sin(angle) + lift * np.cos(angle)
    patch.cytoplasm(body, dye, texture=0.14, edge=0.35)
    radius = min(width * 0.40, brush.uniform(4.5, 7.0))
    stretch = brush.uniform(1.6, 2.6) if form == 'spindle' else brush.uniform(1.1, 1.8)
    nucleus = patch.blob(
        x, y, radius, aspect=stretch, angle=angle, outline=brush.wavy(0.09, lobes=(2, 3, 4, 5))
    )
    patch.nucleus(nucleus, darkness=brush.uniform(1.9, 2.6), coarse=0.12, membrane=0.0)
    # Concentric lines of keratin along the body.
    rings = body.sdf / brush.ppu + 0.8 * brush.noise('coarse', *body.sdf.shape)
    patch.add(body, dye, body.cover * np.cos(rings * np.float32(2 * np.pi / 2.4)) * 0.06)
    return patch.finish()


def _glandular_nucleus(
    brush: Brush, patch: Patch, x: float, y: float, heading: float, aspect: float = 1.5
) -> None:
    radius = brush.uniform(4.0, 5.0)
    nucleus = patch.blob(
        x,
        y,
        radius,
        aspect=brush.uniform(0.9, 1.15) * aspect,
        angle=heading + brush.uniform(-0.2, 0.2),
        outline=brush.wavy(0.03),
    )
    patch.nucleus(nucleus, darkness=brush.uniform(0.62, 0.85), coarse=0.28, membrane=0.5, pale=0.3)
    nucleolus = patch.blob(x + brush.uniform(-1, 1), y + brush.uniform(-1, 1), 0.95)
    patch.add(nucleolus, stains(0.7, 0, 0.6, 0), nucleolus.cover)
    patch.silhouette(nucleus)


def _honeycomb(brush: Brush, patch: Patch, dye: np.ndarray) -> Specimen:
    """A crowded sheet of glandular cells."""
    count = int(brush.rng.integers(8, 15))
    pitch = 10.5
    turn = brush.angle()
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    grid = np.array([(i + 0.5 * (j % 2), j * 0.87) for i in range(-4, 5) for j in range(-4, 5)])
    reach = np.hypot(grid[:, 0] * brush.uniform(0.75, 1.0), grid[:, 1])
    xy = grid[np.argsort(reach)[:count]] * pitch + brush.rng.normal(0, 1.3, (count, 2))
    xy = xy @ rotation.T
    # Honeycomb: walls of the cells stand where two centres are equally far.
    rows, cols, dx, dy = patch.coordinates(0, 0)
    ppu = np.float32(brush.ppu)
    distance = np.sqrt(
        (dx[..., None] / ppu - xy[:, 0].astype(np.float32)) ** 2
        + (dy[..., None] / ppu - xy[:, 1].astype(np.float32)) ** 2
    )
    nearest = np.sort(np.partition(distance, 1, axis=2)[..., :2], axis=2)
    wall = np.exp(-(((nearest[..., 1] - nearest[..., 0]) / 1.6) ** 2))
    ragged = 0.8 * brush.noise('coarse', patch.height, patch.width)
    whole = Region(rows, cols, (pitch * 0.70 - nearest[..., 0] + ragged) * ppu)
    patch.cytoplasm(whole, dye, texture=0.12, edge=0.5)
    patch.add(whole, dye, whole.cover * wall * 0.7)
    for x, y in xy:
        _glandular_nucleus(brush, patch, x, y, brush.angle(), 1.2)
    return patch.finish()


def agc(brush: Brush) -> Specimen:
    """AGC: columnar cells as a palisaded strip, a rosette or a crowded honeycomb sheet."""
    form = brush.rng.choice(['strip', 'rosette', 'sheet'])
    dye = stains(0.10, 0.34, 0.13, 0.0) * brush.uniform(0.85, 1.15)
    patch = Patch(brush, 120)
    if form == 'sheet':
        return _honeycomb(brush, patch, dye)
    if form == 'strip':
        count = int(brush.rng.integers(5, 10))
        along = (np.arange(count) - (count - 1) / 2) * 6.2
        turn, curve = brush.angle(), brush.uniform(-0.006, 0.006)
        base = np.stack([along, curve * along**2], 1)
        outward = np.stack([2 * curve * along, -np.ones(count)], 1)
        outward /= np.linalg.norm(outward, axis=1, keepdims=True)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        base, outward = base @ rotation.T, outward @ rotation.T
    else:
        count = int(brush.rng.integers(8, 12))
        theta = np.arange(count) * 2 * np.pi / count + brush.angle()
        outward = -np.stack([np.cos(theta), np.sin(theta)], 1)
        ring = 6.0 * count / (2 * np.pi) * brush.rng.uniform(1.1, 1.5, (count, 1))
        squeeze = np.array([brush.uniform(0.7, 1.0), 1.0])
        base = -outward * ring * squeeze
    base = base + outward * brush.rng.normal(0, 2.0, (count, 1))
    for (x, y), (ox, oy) in zip(base, outward, strict=True):
        heading = float(np.arctan2(oy, ox))
        reach, lift = brush.uniform(7.5, 9.5), 5.0
        if form == 'rosette':  # the cells' tops meet in the middle
            reach, lift = 0.85 * reach, 4.5
        body = patch.blob(
            x + ox * lift, y + oy * lift, reach, aspect=2.3, angle=heading, outline=brush.wavy(0.07)
        )
        patch.cytoplasm(body, dye * 0.9, texture=0.18, edge=0.5, thin=0.35, crowded=True)
    for (x, y), (ox, oy) in zip(base, outward, strict=True):
        _glandular_nucleus(brush, patch, x, y, float(np.arctan2(oy, ox)), 1.6)
    return patch.finish()


def herps(brush: Brush) -> Specimen:
    """Herpes: many moulded ground-glass nuclei with a thick margin in one dense cell."""
    count = int(brush.rng.integers(3, 9))
    radius = brush.uniform(5.4, 6.8)
    centres = _packed(brush, count, radius * 1.65, brush.uniform(1.0, 1.5))
    patch = Patch(brush, 130)
    rows, cols, dx, dy = patch.coordinates(0, 0)
    ppu = np.float32(brush.ppu)
    dx, dy = dx / ppu, dy / ppu
    # Nuclei of unequal size: distances are divided by each one's relative size.
    sizes = brush.rng.uniform(0.75, 1.25, count).astype(np.float32)
    centres += brush.rng.normal(0, 0.12 * radius, centres.shape)
    distance = (
        np.sqrt(
            (dx[..., None] - centres[:, 0].astype(np.float32)) ** 2
            + (dy[..., None] - centres[:, 1].astype(np.float32)) ** 2
        )
        / sizes
    )
    wobble = 1.0 * brush.noise('coarse', patch.height, patch.width)
    nearest = np.sort(np.partition(distance, 1, axis=2)[..., :2], axis=2)
    body = Region(rows, cols, (radius * 1.5 - nearest[..., 0] + 1.5 * wobble) * ppu)
    dye = _dense_tone(brush) * 0.9 + stains(0.06)
    patch.cytoplasm(body, dye, texture=0.12, edge=0.3)
    # Moulding: a nucleus ends where its neighbour's begins.
    gap = 0.15
    sdf: np.ndarray = (
        np.minimum(
            radius - nearest[..., 0] + 0.7 * wobble, (nearest[..., 1] - nearest[..., 0]) / 2 - gap
        )
        * ppu
    )
    nuclei = Region(rows, cols, sdf)
    patch.amount *= 1 - 0.55 * nuclei.cover[..., None]
    patch.nucleus(nuclei, darkness=0.42, coarse=0.05, membrane=0.0)
    line = np.float32(max(0.9, 0.55 * brush.ppu))
    patch.add(nuclei, stains(1.0), np.exp(-(((sdf - line) / line) ** 2)) * nuclei.cover * 0.7)
    if brush.chance(0.4):
        # Cowdry A: an eosinophilic inclusion inside a clear halo.
        for x, y in centres[: max(1, count // 2)]:
            halo = patch.blob(x, y, radius * 0.52, outline=brush.wavy(0.06))
            view = patch.amount[halo.rows, halo.cols, HEMATOXYLIN]
            view *= 1 - 0.7 * halo.cover
            core = patch.blob(x, y, radius * 0.33, outline=brush.wavy(0.08))
            patch.add(core, stains(0.15, 0, 0.8, 0), core.cover)
    return patch.finish()
