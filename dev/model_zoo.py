"""Write docs/model_zoo.md, model-index.yml and the metafiles anew from configs/model_zoo.yml.

python dev/model_zoo.py            # write them
python dev/model_zoo.py --check    # say which are out of date, exit code 1
"""

import argparse
import ast
import csv
import os
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import yaml
from mmengine.config import Config

from ldwsccd_mmdet.experiments.report.model_facts import (
    augmentation,
    image_size,
    schedule,
    starting_weights,
)

ROOT = Path(__file__).resolve().parents[1]

SOURCE = 'configs/model_zoo.yml'
NOTE = f'made by dev/model_zoo.py from {SOURCE}: edit that, and run it again'
NOT_RUN = 'not run'
PARAMETERS = 'results/parameters.csv'


def read_csv(path: str) -> list[dict]:
    if not (ROOT / path).is_file():
        return []
    with (ROOT / path).open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def find_models(source: dict) -> list[dict]:
    """All configs, with what they say of themselves and what was measured of them."""
    found = []
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        short = path.relative_to(ROOT / 'configs')
        if '_base_' not in short.parts:
            collection = collection_of(short.as_posix(), source)
            found.append({**facts_of(path), 'collection': collection})
    by_path = {model['path']: model for model in found}
    for result in source['results']:
        row = next(r for r in read_csv(result['csv']) if r['model'] == result['row'])
        model = by_path[result['config']]
        model.update(ap50=float(row['mAP@50']), csv=result['csv'])
        model.update(epochs=result.get('epochs', model['epochs']))  # it may be of a shorter run
    for weights in source.get('weights', []):
        by_path[weights['config']].update(released=weights)
    return found


@cache  # reading all configs takes a quarter of a minute
def facts_of(path: Path) -> dict:
    """What a config says of itself."""
    short = path.relative_to(ROOT / 'configs')
    config = Config.fromfile(path)
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or short.stem
    return dict(
        path=short.as_posix(),
        folder=short.parent.as_posix(),
        name=short.stem,
        about=' '.join(text.split('\n\n')[0].split()),
        size=image_size(config),
        augmentation=augmentation(config),
        schedule=schedule(config),
        weights=starting_weights(config),
        epochs=config.train_cfg.max_epochs,
        batch=config.train_dataloader.batch_size,
        data=data_of(config),
        ap50=None,
        released=None,
    )


def collection_of(path: str, source: dict) -> str:
    for collection in source['collections']:
        if fits(path, collection['match']) and not fits(path, collection.get('not', ())):
            return collection['name']
    raise SystemExit(f'error: no collection in {SOURCE} fits configs/{path}: add one')


def fits(path: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def data_of(config: Config) -> str:
    dataset = config.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    folder = Path(dataset.data_root).name
    return {'ccd': 'Comparison Detector', 'cric': 'CRIC', 'bccd': 'BCCD'}.get(folder, folder)


def dump(content) -> str:
    return f'# {NOTE}\n' + yaml.safe_dump(content, sort_keys=False, width=1000)


def metafiles(source: dict, models: list[dict]) -> dict[str, str]:
    """OpenMMLab's metafile of each folder, and the index that imports them."""
    files: dict[str, str] = {}
    described: set[str] = set()
    for folder in sorted({model['folder'] for model in models}):
        inside = [model for model in models if model['folder'] == folder]
        collections = []
        for collection in source['collections']:
            name = collection['name']
            if name in described or name not in {model['collection'] for model in inside}:
                continue
            described.add(name)  # once for all metafiles
            paper = {'Title': collection['title']}
            if 'url' in collection:
                paper['URL'] = collection['url']
            entry = {
                'Name': name,
                'Metadata': {'Architecture': collection['architecture']},
                'Paper': paper,
                'README': 'docs/model_zoo.md',
            }
            if 'code' in collection:
                entry['Code'] = collection['code']
            collections.append(entry)
        content = {'Collections': collections} if collections else {}
        content['Models'] = []
        for model in inside:
            entry = {
                'Name': model['name'],
                'In Collection': model['collection'],
                'Config': f'configs/{model["path"]}',
                'Metadata': {
                    'Training Data': model['data'],
                    'Epochs': model['epochs'],
                    'Batch Size': model['batch'],
                },
            }
            if model['ap50'] is not None:
                entry['Results'] = [
                    {
                        'Task': 'Object Detection',
                        'Dataset': model['data'],
                        'Metrics': {'box AP50': model['ap50']},
                    }
                ]
            if model['released'] is not None:
                entry['Weights'] = model['released']['url']
            content['Models'].append(entry)
        where = 'configs' if folder == '.' else f'configs/{folder}'
        files[f'{where}/metafile.yml'] = dump(content)
    files['model-index.yml'] = dump({'Import': sorted(files)})
    return files


def table(header: list[str], rows: list[list]) -> list[str]:
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    return lines + ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows]


def comparison(source: dict, models: list[dict], benchmark: str) -> list[str]:
    """What is the same for all models, what is not, and what they cost."""
    measured = {row['config']: row for row in read_csv(benchmark)}
    papers = {c['name']: c for c in source['collections']}
    rows = []
    for model in models:
        stem = Path(model['path']).stem
        row = measured.get(f'configs/{model["path"]}', {})
        collection = papers[model['collection']]
        paper = f'[paper]({collection["url"]})' if 'url' in collection else 'see README'
        weights = model['weights']
        file = weights.rsplit('/', 1)[-1]
        if '://' not in weights:  # a local file
            weights = file
        elif 'http' in weights:
            weights = f'[{file}]({weights})'
        rows.append(
            [
                f'[{stem}](../configs/{model["path"]})',
                paper,
                ' x '.join(map(str, model['size'])),
                model['augmentation'],
                model['schedule'],
                weights,
                row.get('parameters_m', NOT_RUN),
                row.get('gflops', NOT_RUN),
                row.get('latency_ms', NOT_RUN),
            ]
        )
    lines = table(
        [
            'model',
            'paper',
            'input',
            'augmentation',
            'schedule',
            'starts from',
            'parameters (M)',
            'GFLOPs',
            'CPU latency (ms)',
        ],
        rows,
    )
    if measured:
        first = next(iter(measured.values()))
        lines += [
            '',
            f'Parameters, GFLOPs and latency: [{Path(benchmark).name}](../{benchmark}), by '
            f'`{first["command"]}`; torch {first["torch"]}, {first["machine"]}; median of '
            f'{first["runs"]} images, {first["threads"]} threads.',
        ]
    return lines


def systems(source: dict, models: list[dict]) -> list[str]:
    """Each system with its configs, its size and what was done with it."""
    by_path = {model['path']: model for model in models}
    collections = {c['name']: c for c in source['collections']}
    counted = {row['config']: int(row['parameters_at_test']) for row in read_csv(PARAMETERS)}
    rows = []
    for system in source['systems']:
        paths = [system.get('full'), system.get('small')]
        links, sizes = [], []
        for path in paths:
            number = counted.get(f'configs/{path}')
            links.append(f'[{Path(path).stem}](../configs/{path})' if path else '-')
            sizes.append(NOT_RUN if number is None else f'{number / 1e6:.2f}')
        small = by_path.get(paths[1] or '')
        status = 'built, one step, one prediction'
        if small and small['ap50'] is not None:
            csv_file = os.path.relpath(small['csv'], 'docs')
            status = f'trained on BCCD, AP50 [{small["ap50"]}]({csv_file})'
        url = collections[system.get('collection', system['name'])].get('url')
        name = f'[{system["name"]}]({url})' if url else system['name']
        shown = [size if path else '-' for path, size in zip(paths, sizes, strict=True)]
        rows.append([name, system['kind'], links[0], shown[0], links[1], shown[1], status])
    header = ['system', 'kind', 'full size', 'parameters (M)', 'small', 'parameters (M)', 'status']
    return table(header, rows)


def page(source: dict, models: list[dict]) -> str:
    lines = [f'<!-- {NOTE} -->']
    for part in source['tables']:
        inside = [model for model in models if fits(model['path'], part['match'])]
        lines += [part['text'].rstrip(), '', *comparison(source, inside, part['csv']), '']
    lines += [source['systems_text'].rstrip(), '', *systems(source, models), '']
    lines += ['## All configs', '', *weights_table(models), '']
    rows = [
        [
            f'[{model["path"][:-3]}](../configs/{model["path"]})',
            model['about'],
            model['data'],
            NOT_RUN
            if model['ap50'] is None
            else f'[{model["ap50"]}]({os.path.relpath(model["csv"], "docs")}), '
            f'{model["epochs"]} epochs',
        ]
        for model in models
    ]
    lines += table(['config', 'what', 'data', 'AP50'], rows)
    return '\n'.join(lines) + '\n'


def weights_table(models: list[dict]) -> list[str]:
    """What dev/release_weights.py has made, and where it lies."""
    rows = []
    for model in models:
        released = model['released']
        if released is None:
            continue
        file = released['url'].rsplit('/', 1)[-1]
        rows.append(
            [
                f'[{model["path"][:-3]}](../configs/{model["path"]})',
                f'[{file}]({released["url"]})',
                f'{released["bytes"] / 1e6:.1f}',
                f'`{released["sha256"][:16]}`',
                f'{released["ap50"]}, {released["images"]} images',
            ]
        )
    if not rows:
        return ['Weights: none published. `dev/release_weights.py` makes the files and their rows.']
    return table(['weights of', 'file', 'MB', 'SHA-256', 'AP50 of the file'], rows)


def make() -> dict[str, str]:
    """The content of each file, by its path in the repository."""
    source = yaml.safe_load((ROOT / SOURCE).read_text(encoding='utf-8'))
    models = find_models(source)
    return {**metafiles(source, models), 'docs/model_zoo.md': page(source, models)}


def outdated(files: dict[str, str]) -> list[str]:
    return [
        path
        for path, text in files.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding='utf-8') != text
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--check', action='store_true', help='write nothing')
    args = parser.parse_args()
    files = make()
    stale = outdated(files)
    if args.check:
        print('\n'.join(f'{path} is out of date: python dev/model_zoo.py' for path in stale))
        return int(bool(stale))
    for path in stale:
        (ROOT / path).write_text(files[path], encoding='utf-8')
    print('\n'.join(stale) or 'all up to date')
    return 0


if __name__ == '__main__':
    sys.exit(main())
