"""How the scores of a test's detections spread, class by class.

    python dev/score_quantiles.py test.json 3=a/predictions.pkl 9=b/predictions.pkl \
        --csv results/hard_negative_scores_bccd.csv

Each row has the AP50 of a class, how many detections it has, and quantiles of their scores. NAME=
before a file is what the first column says of it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from ldwsccd_mmdet.csv_table import write_csv
from ldwsccd_mmdet.evaluation.functional.matching import match_detections
from ldwsccd_mmdet.evaluation.predictions import load_predictions

QUANTILES = (0.1, 0.5, 0.9, 1.0)
COLUMNS = ('name', 'class', 'AP50', 'detections', *(f'q{100 * q:g}' for q in QUANTILES))


def rows(truth: COCO, name: str, predictions: Path) -> Iterator[tuple[str, ...]]:
    """A row for each class."""
    found = load_predictions(predictions)
    matches = match_detections(truth, found)
    ap50 = 100 * matches.ap_grid[int(np.argmin(abs(matches.ious - 0.5))), 0]
    scores = np.concatenate([cells.scores for cells in found.values()])
    labels = np.concatenate([cells.labels for cells in found.values()])
    for label, (kind, ap) in enumerate(zip(matches.classes, ap50, strict=True)):
        own = scores[labels == label]
        spread = np.quantile(own, QUANTILES) if len(own) else np.full(len(QUANTILES), np.nan)
        yield name, kind, f'{ap:.1f}', str(len(own)), *(f'{value:.3f}' for value in spread)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('annotations', type=Path, help='COCO json of the images tested on')
    parser.add_argument('predictions', nargs='+', metavar='NAME=FILE.pkl')
    parser.add_argument('--csv', type=Path, required=True)
    args = parser.parse_args()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(args.annotations))
    named = [text.partition('=')[::2] for text in args.predictions]
    table = [row for name, file in named for row in rows(truth, name, Path(file))]
    write_csv(args.csv, [COLUMNS, *table])


if __name__ == '__main__':
    main()
