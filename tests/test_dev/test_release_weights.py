"""Release files hold what was measured of them, and their rows make the model zoo."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import pytest
import torch
import yaml

from dev import release_weights
from ldwsccd_mmdet.apis import CellInferencer
from ldwsccd_mmdet.errors import ConfigError
from tests.test_apis.conftest import CLASSES, save_trained
from tests.test_apis.disc_detector import draw_discs
from tests.test_dev.release_row import release_row

CONFIG = 'ldwsccd/ldwsccd_ssd256-narrow_bccd.py'


def write_test_set(folder: Path) -> Path:
    """Two annotated images."""
    images, annotations = [], []
    for number in (1, 2):
        image, boxes = draw_discs((200, 160), 6, seed=number)
        cv2.imwrite(str(folder / f'{number}.png'), image)
        images.append({'id': number, 'file_name': f'{number}.png', 'width': 200, 'height': 160})
        for x1, y1, x2, y2 in boxes.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            row = {'id': len(annotations) + 1, 'image_id': number, 'category_id': 2, 'bbox': box}
            annotations.append({**row, 'area': box[2] * box[3], 'iscrowd': 0})
    names = [{'id': i, 'name': name} for i, name in enumerate(CLASSES, 1)]
    content = {'images': images, 'annotations': annotations, 'categories': names}
    (folder / 'test.json').write_text(json.dumps(content))
    return folder / 'test.json'


def test_makes_a_file_and_its_row(tmp_path: Path, capsys) -> None:
    trained = save_trained(tmp_path, f'configs/{CONFIG}', score_thr=0.4)
    out = tmp_path / 'release'
    arguments = ['--out', str(out), '--url', 'https://example.org/r', '--test']
    args = release_weights.parse_args(
        [f'{CONFIG}={trained.checkpoint}', *arguments, str(write_test_set(tmp_path))]
    )
    release_weights.main(args)
    row = yaml.safe_load((out / release_weights.ROWS).read_text())['weights'][0]
    file = out / row['url'].rsplit('/', 1)[-1]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert row['sha256'] == digest and file.stem.endswith(digest[:8])
    assert row['config'] == CONFIG and row['images'] == 2 and 0 <= row['ap50'] <= 100
    meta = torch.load(file, weights_only=True)['meta']['dataset_meta']
    results = meta['results']
    assert results['ap50'] == row['ap50'] and results['boxes'] == 12
    assert results['ap50_by_class'] == {'platelet': None, 'red': row['ap50'], 'white': None}
    assert results['score_source'] == 'ssd' and len(results['annotations_sha256']) == 64
    assert 'score_thr' not in meta  # it was that of both heads
    given = CellInferencer(file, device='cpu')
    assert given.info.classes == CLASSES and given.info.score_thr is None
    assert set(row) == set(release_row(CONFIG))  # which test_model_zoo.py puts into the zoo


@pytest.mark.parametrize('text', ['a.pth', 'nowhere.py=a.pth', '=a.pth'])
def test_refuses_other_models(text: str) -> None:
    with pytest.raises(ConfigError, match='expected CONFIG=CHECKPOINT'):
        release_weights.parse_model(text)


def test_refuses_another_address(capsys) -> None:
    with pytest.raises(SystemExit):
        release_weights.parse_args([f'{CONFIG}=a.pth', '--out', 'a', '--url', 'ftp://a'])
    assert 'https' in capsys.readouterr().err
