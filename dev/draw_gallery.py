# SPDX-License-Identifier: Apache-2.0
"""Draws the gallery of synthetic smears: specimens of every class, and fields with their boxes.

Example:
    python dev/draw_gallery.py --out docs/images/synthetic_gallery.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ldwsccd_mmdet.preparation.synthetic import CLASSES, SyntheticSmear
from ldwsccd_mmdet.visualization import draw_detections
from ldwsccd_mmdet.visualization.label_layout import label_font

# Side of the specimens' pictures in micrometres, and what to look for.
ROWS = {
    'ascus': (62, 'nucleus 2.5 to 3 x normal, no halo'),
    'asch': (54, 'small metaplastic cells, high N/C'),
    'lsil': (66, 'nucleus > 3 x normal, koilocytic halo'),
    'hsil': (56, 'scant cytoplasm, dark, crowded groups'),
    'scc': (76, 'orange spindles, tadpoles; ink-black nuclei'),
    'agc': (66, 'sheets, strips, rosettes; nucleoli'),
    'trichomonas': (30, 'grey-green pears, faint nucleus'),
    'candida': (78, 'pseudohyphae and budding yeast'),
    'flora': (64, 'clue cells under coccobacilli'),
    'herps': (62, 'moulded ground-glass nuclei'),
    'actinomyces': (78, 'dark woolly balls of filaments'),
    'no box': (60, 'normal cells, neutrophils, debris'),
}
NO_BOX = ('superficial', 'intermediate', 'parabasal', 'neutrophil', 'granular_debris', 'mucus')
TILE, PER_ROW, GAP, TITLE = 80, 6, 2, 19


def specimens(name: str, size_um: float, seed: int) -> Image.Image:
    """One strip: title, specimens, and a bar of 20 micrometres."""
    smear = SyntheticSmear(magnification=40, variation=0.8)
    strip = Image.new('RGB', (PER_ROW * (TILE + GAP), TITLE + TILE + GAP), 'white')
    for index in range(PER_ROW):
        kind = NO_BOX[index] if name == 'no box' else name
        picture, _ = smear.draw_specimen(kind, [seed, index], size_um)
        picture = cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_AREA)
        strip.paste(Image.fromarray(picture[..., ::-1]), (index * (TILE + GAP), TITLE))
    pen = ImageDraw.Draw(strip)
    pen.text((1, 2), name, 'black', label_font(13))
    offset = label_font(13).getlength(name) + 8
    pen.text((offset, 4), ROWS[name][1], '#555555', label_font(11))
    bar = 20 / size_um * TILE
    pen.line((4, TITLE + TILE - 5, 4 + bar, TITLE + TILE - 5), 'black', 2)
    return strip


def gallery(seed: int, field_seeds: list[int]) -> Image.Image:
    """The whole picture."""
    strips = [specimens(name, size, seed) for name, (size, _) in ROWS.items()]
    width, height = strips[0].size
    rows = (len(strips) + 1) // 2
    side = width - GAP
    picture = Image.new('RGB', (2 * width + 8, rows * height + 8 + side), 'white')
    for index, strip in enumerate(strips):
        picture.paste(strip, ((index // rows) * (width + 8), (index % rows) * height))
    # Drawn twice as fine and averaged: a quiet picture makes a small file.
    smear = SyntheticSmear(2 * side, 2 * side, magnification=28 * side / 256, variation=0.8)
    for index, field_seed in enumerate(field_seeds[:2]):
        image, boxes, labels = smear.draw(field_seed)
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        drawn = draw_detections(
            np.ascontiguousarray(image[..., ::-1]),
            boxes / 2,
            labels,
            classes=CLASSES,
            scale=1,
            font_size=11,
        )
        picture.paste(Image.fromarray(drawn), (index * (width + 8), rows * height + 8))
    return picture


def reduce_colors(picture: Image.Image, count: int) -> Image.Image:
    """A palette in which rare colours (orange, ink-black) have their place beside the white."""
    coarse, counts = np.unique(np.asarray(picture).reshape(-1, 3) // 4, axis=0, return_counts=True)
    coarse, counts = coarse[counts > 2], counts[counts > 2]
    rng = np.random.default_rng(0)
    weights = counts**0.4
    sample = coarse[rng.choice(len(coarse), 20000, p=weights / weights.sum())] * 4.0 + 2
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
    cv2.setRNGSeed(0)
    _, _, centres = cv2.kmeans(
        sample.astype(np.float32), count - 2, None, stop, 1, cv2.KMEANS_PP_CENTERS
    )
    palette = np.concatenate([np.rint(centres), [[255, 255, 255], [0, 0, 0]]]).astype(np.uint8)
    reference = Image.new('P', (1, 1))
    reference.putpalette(palette.tobytes())
    return picture.quantize(palette=reference, dither=Image.Dither.NONE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', default='docs/images/synthetic_gallery.png')
    parser.add_argument('--seed', type=int, default=3)
    parser.add_argument('--fields', type=int, nargs=2, default=[44, 49], help='seeds of the fields')
    parser.add_argument('--colors', type=int, default=160, help='colours of the PNG palette')
    args = parser.parse_args()
    picture = gallery(args.seed, args.fields)
    picture = reduce_colors(picture, args.colors)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    picture.save(args.out, optimize=True)
    print(
        f'{args.out}: {picture.size[0]} x {picture.size[1]}, '
        f'{Path(args.out).stat().st_size / 1000:.0f} kB'
    )


if __name__ == '__main__':
    main()
