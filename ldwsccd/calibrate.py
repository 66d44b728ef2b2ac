"""Print how large each distillation term is, and the weights that make it a share of the loss.

Examples:
    ldwsccd calibrate CONFIG
    ldwsccd calibrate CONFIG --share fg=0.2 bg=0.1 attention=0
    ldwsccd calibrate CONFIG --checkpoint epoch_4.pth

A few training batches run through student and teacher, without gradient, in float32. Without
--checkpoint the student is as initialised: this is the first step of a training. The detection loss
of an SSD is then several times what it is a few epochs later; the distillation terms fall less, so
the same weights give a far larger share later. To see the share that a term has in most of the
training, give a --checkpoint that was distilled for a few epochs. The detection loss is the
student's own, without the MIL head's. Boxes of the data set make the mask, not pseudo-boxes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from .arguments import add_config_options, at_least

SHARE_NAMES = ('fg', 'bg', 'attention')
SHARES = (0.1, 0.05, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument('config', help='config of a distilled training')
    parser.add_argument(
        '--batches', type=at_least(1), default=4, help='training batches (default: 4)'
    )
    parser.add_argument(
        '--share',
        nargs='+',
        default=[],
        metavar='SHARE',
        help='wanted share of the detection loss of foreground, background and attention term: '
        'three numbers, or fg=, bg=, attention= (default: 0.1 0.05 0.05)',
    )
    parser.add_argument(
        '--checkpoint', metavar='STUDENT.pth', help='a trained student (default: as initialised)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of weights, order and augmentation')
    add_config_options(parser)


def check(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Read the shares."""
    try:
        args.share = read_shares(args.share)
    except ValueError as error:
        parser.error(f'--share: {error}')


def read_shares(texts: list[str]) -> list[float]:
    """Read three numbers, or NAME=NUMBER; what is not named keeps its default."""
    if not any('=' in text for text in texts):
        if texts and len(texts) != 3:
            raise ValueError(f'expected three numbers, found {len(texts)}; or write fg=0.1')
        texts = [f'{name}={text}' for name, text in zip(SHARE_NAMES, texts, strict=False)]
    shares = dict(zip(SHARE_NAMES, SHARES, strict=True))
    for text in texts:
        name, _, number = text.partition('=')
        if name not in shares:
            raise ValueError(f'expected one of {", ".join(SHARE_NAMES)}, found {text!r}')
        shares[name] = float(number)
        if not 0 <= shares[name] < float('inf'):
            raise ValueError(f'expected a number >= 0, found {text!r}')
    return list(shares.values())


def main(args: argparse.Namespace) -> None:
    """Measure, and print table and weights."""
    from mmdet.utils import register_all_modules
    from mmengine.logging import MMLogger
    from mmengine.runner import set_random_seed
    from rich.console import Console
    from rich.progress import track

    from ldwsccd_mmdet.engine import distillation_scale as scale
    from ldwsccd_mmdet.engine.config_file import load_config
    from ldwsccd_mmdet.engine.distilled_student import build_distilled_student, training_batches

    from .config import check_classes

    register_all_modules(init_default_scope=True)
    config = load_config(args.config, args.cfg_options, need=('model',))
    check_classes(config, ['train'])
    MMLogger.get_instance('distillation').setLevel('WARNING')  # not how each weight began
    set_random_seed(args.seed)
    student, which = build_distilled_student(config, args.checkpoint)
    student.train()
    set_random_seed(args.seed)  # the same images, whatever was initialised
    batches = training_batches(config, args.batches, args.seed)
    shown = track(batches, total=args.batches, disable=not sys.stderr.isatty())
    scales, names = scale.measure_scales(student, shown)
    losses = [one.detection for one in scales]
    title = (
        f'{which}: mean of {len(losses)} batches of '
        f'{config.train_dataloader.batch_size}; detection loss {sum(losses) / len(losses):.4g} '
        f'({min(losses):.4g} to {max(losses):.4g})'
    )
    loss = student.distillation
    console = Console(emoji=False, width=None if sys.stdout.isatty() else 150)
    console.print(table_of(title, names, scales, scale.term_weights(loss)))
    weights = scale.weights_for_shares(scales, loss.level_weights, args.share)
    wanted = zip(scale.TERMS, args.share, strict=True)
    print(f'For {", ".join(f"{term} {100 * share:g} %" for term, share in wanted)}:')
    settings = zip(scale.WEIGHTS, weights, strict=True)
    options = ' '.join(f'model.distillation.{name}={value:.3g}' for name, value in settings)
    print(f'--cfg-options {options}')


def table_of(
    title: str, names: Sequence[tuple[str, ...]], scales: Sequence[Any], weights: Any
) -> Any:
    """One row a level: each term before and after its weight; at last what share each has."""
    import torch
    from rich.markup import escape
    from rich.table import Table

    from ldwsccd_mmdet.engine.distillation_scale import TERMS, WEIGHTS

    detection = sum(scale.detection for scale in scales) / len(scales)
    raw = torch.stack([scale.levels.cpu().double() for scale in scales]).mean(dim=0)
    weighted = raw * weights
    table = Table(title=escape(title))
    columns = ['student', 'C x H x W', 'teacher', 'C x H x W']
    for column in (
        *columns,
        *(c for t, w in zip(TERMS, WEIGHTS, strict=True) for c in (t, f'x {w}')),
        'of detection',
    ):
        table.add_column(column, justify='right')

    def cells(one: torch.Tensor, other: torch.Tensor) -> list[str]:
        pairs = zip(one.tolist(), other.tolist(), strict=True)
        return [f'{value:.4g}' for pair in pairs for value in pair] + [percent(other.sum())]

    def percent(value: torch.Tensor) -> str:
        share = 100 * float(value) / detection
        return f'{share:.1f} %' if share < 1e4 else f'{share:.3g} %'

    for name, *row in zip(names, raw, weighted, strict=True):
        table.add_row(*name, *cells(*row))
    table.add_section()
    table.add_row('all', '', '', '', *cells(raw.sum(dim=0), weighted.sum(dim=0)))
    shares = [cell for total in weighted.sum(dim=0) for cell in ('', percent(total))]
    table.add_row('of detection', '', '', '', *shares, '')
    return table
