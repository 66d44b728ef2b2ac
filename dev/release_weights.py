"""Make release files of trained students, and the rows that the model zoo gets for them.

python dev/release_weights.py --out work_dirs/release --url https://HOST/FOLDER/ \
    ldwsccd/ldwsccd_ssd256-narrow_bccd.py=work_dirs/compare_bccd/.../epoch_20.pth

Each argument is CONFIG=CHECKPOINT, CONFIG below configs/. The student is measured on the test set
that the checkpoint's own config names (--test FILE.json --test-images DIR: another one). Into --out
go, for each, NAME-<hash>.pth with weights, config and numbers, and model_zoo_weights.yml: the rows
for `weights:` of configs/model_zoo.yml, from which dev/model_zoo.py makes pages and metafiles. Add
them once the files lie at --url. Nothing of --out is committed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import Any

import yaml

from ldwsccd.tool import run_tool

ROOT = Path(__file__).resolve().parents[1]
ROWS = 'model_zoo_weights.yml'


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('models', nargs='+', metavar='CONFIG=CHECKPOINT')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='for the files')
    parser.add_argument('--url', required=True, help='folder on the web where they will lie')
    parser.add_argument('--test', type=Path, metavar='FILE.json', help='annotated test images')
    parser.add_argument('--test-images', type=Path, metavar='DIR', help='their folder')
    parser.add_argument('--keep-mil', action='store_true', help='keep the MIL head')
    args = parser.parse_args(arguments)
    if not args.url.startswith('https://'):
        parser.error(f"--url: expected an address of https, found '{args.url}'")
    return args


def parse_model(text: str) -> tuple[str, Path]:
    """Read CONFIG=CHECKPOINT; the config is one of the zoo."""
    from ldwsccd_mmdet.errors import ConfigError

    config, found, checkpoint = text.partition('=')
    config = config.removeprefix('configs/')
    if not found or not (ROOT / 'configs' / config).is_file():
        raise ConfigError(
            f"'{text}': expected CONFIG=CHECKPOINT, with a config below configs/, as in "
            'ldwsccd/ldwsccd_ssd256-narrow_bccd.py=epoch_20.pth'
        )
    return config, Path(checkpoint)


def test_set(detector: Any, args: argparse.Namespace) -> tuple[Path, Path]:
    """Annotation file and image folder that a student is measured on."""
    from ldwsccd_mmdet.apis.sources import images_beside
    from ldwsccd_mmdet.datasets.plain_dataset import innermost

    if args.test is not None:
        return args.test, args.test_images or images_beside(args.test, '--test')
    dataset = innermost(detector.cfg.test_dataloader.dataset)
    root = Path(dataset.get('data_root') or '')
    return root / dataset.ann_file, root / (dataset.get('data_prefix') or {}).get('img', '')


def release(text: str, args: argparse.Namespace) -> dict[str, Any]:
    """Write the file of one model; returns its row."""
    from ldwsccd_mmdet.apis import CellInferencer, measured_student, publish_checkpoint

    config, checkpoint = parse_model(text)
    detector = CellInferencer(weights=checkpoint, device='cpu')
    results = measured_student(detector, *test_set(detector, args), args.keep_mil)
    file, _ = publish_checkpoint(
        detector, args.out / f'{Path(config).stem}.pth', args.keep_mil, results
    )
    print(f'{file}: AP50 {results["ap50"]} on {results["images"]} images')
    return {
        'config': config,
        'url': f'{args.url.rstrip("/")}/{file.name}',
        'sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
        'bytes': file.stat().st_size,
        'ap50': results['ap50'],
        'images': results['images'],
    }


def main(args: argparse.Namespace) -> None:
    for text in args.models:  # before the first is measured
        parse_model(text)
    rows = [release(text, args) for text in args.models]
    text = yaml.safe_dump({'weights': rows}, sort_keys=False, width=1000)
    (args.out / ROWS).write_text(text, encoding='utf-8')
    print(f'{args.out / ROWS}: rows for configs/model_zoo.yml')


if __name__ == '__main__':
    sys.exit(run_tool(main, parse_args()))
