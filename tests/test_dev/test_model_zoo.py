"""The model zoo says what the configs say, and was made anew after the last change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dev import model_zoo
from tests.test_dev.release_row import release_row

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def files():
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return model_zoo.make()


def test_up_to_date(files):
    """If this fails: python dev/model_zoo.py."""
    assert model_zoo.outdated(files) == []


def test_the_index_names_every_config_once(files):
    index = yaml.safe_load(files['model-index.yml'])
    models, collections = [], []
    for path in index['Import']:
        content = yaml.safe_load(files[path])
        models += content['Models']
        collections += content.get('Collections', [])
    names = [model['Name'] for model in models]
    assert len(set(names)) == len(names)
    configs = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'configs').rglob('*.py')
        if '_base_' not in path.parts
    }
    assert {model['Config'] for model in models} == configs
    known = [collection['Name'] for collection in collections]
    assert len(set(known)) == len(known)
    assert {model['In Collection'] for model in models} == set(known)
    for collection in collections:
        assert (ROOT / collection['README']).is_file()
        assert (ROOT / collection.get('Code', '.')).exists()


def test_no_weights_are_promised(files):
    assert not any('Weights:' in text for path, text in files.items() if path.endswith('.yml'))
    assert 'Weights: none published.' in files['docs/model_zoo.md']


@pytest.mark.parametrize('data', ['bccd', 'synthetic'])
def test_a_release_file_gets_its_row(data):
    row = release_row(f'ldwsccd/ldwsccd_ssd256-narrow_{data}.py')
    source = yaml.safe_load((ROOT / model_zoo.SOURCE).read_text(encoding='utf-8'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        models = model_zoo.find_models({**source, 'weights': [row]})
    table = '\n'.join(model_zoo.weights_table(models))
    assert row['url'] in table and f'{row["ap50"]}, {row["images"]} images' in table
    content = yaml.safe_load(model_zoo.metafiles(source, models)['configs/ldwsccd/metafile.yml'])
    assert [m['Weights'] for m in content['Models'] if 'Weights' in m] == [row['url']]


def test_numbers_are_those_of_the_csv(files):
    content = yaml.safe_load(files['configs/ldwsccd/metafile.yml'])
    measured = [model for model in content['Models'] if 'Results' in model]
    found = {m['Name']: m['Results'][0]['Metrics']['box AP50'] for m in measured}
    rows = {row['model']: row for row in model_zoo.read_csv('results/ablation_cric_20_epochs.csv')}
    for name in ('ssd512-narrow_cric', 'ldwsccd_ssd512-narrow_cric'):
        assert found[name] == float(rows[name]['mAP@50'])


def test_links_of_the_page_lead_somewhere(files):
    page = files['docs/model_zoo.md']
    for part in page.split('](')[1:]:
        target, _, anchor = part.split(')')[0].partition('#')
        if target.startswith('http'):
            continue
        file = ROOT / 'docs' / target
        assert file.exists(), target
        headings = [line.lower() for line in file.read_text('utf-8').split('\n')] if anchor else []
        assert not anchor or f'## {anchor.replace("-", " ")}' in headings, anchor


def test_a_stale_file_is_found(files, monkeypatch, tmp_path):
    monkeypatch.setattr(model_zoo, 'ROOT', tmp_path)
    assert model_zoo.outdated(files) == list(files)
