"""Find cells that have no box: hide some boxes, train a detector on the others, see what it finds.

Examples:
    python tools/mine_missing_boxes.py hide train.json --out train_hidden.json
    # train a detector on train_hidden.json, test it on train.json with --out finds.pkl
    python tools/mine_missing_boxes.py mine train.json train_hidden.json finds.pkl --out mined.json

Then train with train_dataloader.dataset.mined_file=mined.json.
"""

import argparse
import sys
from pathlib import Path

from ldwsccd_mmdet.datasets.coco_json import load_coco
from ldwsccd_mmdet.evaluation.predictions import load_predictions
from ldwsccd_mmdet.preparation.converters.cli import exit_code
from ldwsccd_mmdet.preparation.converters.coco_builder import check_new, dump, write_new
from ldwsccd_mmdet.preparation.missing_boxes import hide_boxes, mine_missing_boxes


def parse_args(argv: 'list[str] | None' = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest='command', required=True)
    hide = commands.add_parser('hide', help='leave out some boxes of each class')
    hide.add_argument('annotations', type=Path, help='COCO json with all boxes that there are')
    hide.add_argument('--fraction', type=float, default=0.2, help='(default: 0.2)')
    hide.add_argument('--seed', type=int, default=0, help='which boxes (default: 0)')
    mine = commands.add_parser('mine', help='find the cells that have no box')
    mine.add_argument('annotations', type=Path, help='COCO json with all boxes that there are')
    mine.add_argument('learned', type=Path, help='what "hide" left of it')
    mine.add_argument(
        'predictions', type=Path, help='of the detector, by tools/test.py --out, with low scores'
    )
    mine.add_argument(
        '--min-prob', type=float, default=0.05, help='leave out finds less sure (default: 0.05)'
    )
    for command in (hide, mine):
        command.add_argument('--out', type=Path, required=True, help='the json to write')
    return parser.parse_args(argv)


def main(argv: 'list[str] | None' = None) -> None:
    args = parse_args(argv)
    check_new(args.out)
    coco = load_coco(args.annotations)
    if args.command == 'hide':
        left = hide_boxes(coco, args.fraction, args.seed)
        write_new(args.out, dump(left))
        print(f'{args.out}: {len(left["annotations"])} of {len(coco["annotations"])} boxes')
        return
    mined, report = mine_missing_boxes(
        coco, load_coco(args.learned), load_predictions(args.predictions), args.min_prob
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


if __name__ == '__main__':
    sys.exit(exit_code(main))
