"""Find cells that have no box: hide some boxes, train a detector on the others, see what it finds.

Examples:
    ldwsccd hide train.json --out train_hidden.json
    # train a detector on train_hidden.json, test it on train.json with --out finds.pkl
    ldwsccd mine train.json train_hidden.json finds.pkl --out mined.json

Then train with train_dataloader.dataset.mined_file=mined.json.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    add('annotations', type=Path, help='COCO json with all boxes that there are')
    add('learned', type=Path, help='what "ldwsccd hide" left of it')
    add('predictions', type=Path, help='of the detector, by ldwsccd test --out, with low scores')
    add('--out', type=Path, required=True, help='the json to write')
    add('--min-prob', type=float, default=0.05, help='leave out finds less sure (default: 0.05)')


def main(args: argparse.Namespace) -> None:
    """Write the finds, and say how many boxes seem to be missing."""
    from ldwsccd_mmdet.datasets.coco_json import load_coco
    from ldwsccd_mmdet.evaluation.predictions import load_predictions
    from ldwsccd_mmdet.preparation.converters import check_new, dump, write_new
    from ldwsccd_mmdet.preparation.missing_boxes import mine_missing_boxes

    check_new(args.out)
    mined, report = mine_missing_boxes(
        load_coco(args.annotations),
        load_coco(args.learned),
        load_predictions(args.predictions),
        args.min_prob,
    )
    write_new(args.out, dump(mined))
    for row in report:
        missing = 100 * (1 - row.kept_share)
        print(
            f'{row.name}: {row.boxes} boxes; {row.found} of {row.hidden} hidden ones found'
            + (' (judged with all classes together)' if row.pooled else '')
            + f'; about {missing:.0f} % of the cells may have no box; {row.mined} finds, of which '
            f'about {row.expected:.0f} are cells'
        )
