from __future__ import annotations

import csv
import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from ldwsccd.main import parse_args
from ldwsccd.report import main
from ldwsccd_mmdet.errors import ConfigError, DatasetError, ResultsError

LOG = """2026/11/22 23:00:00 - mmengine - INFO -
System environment:
    Python: 3.11.7 (main)
    PyTorch: 2.13.0+cpu
    PyTorch compiling details: much
2026/11/22 23:00:01 - mmengine - INFO - Config:
2026/11/22 23:02:00 - mmengine - INFO - Epoch(train) [1][2/2] loss: 2.0
"""


@pytest.fixture(scope='module')
def data(make_tiny_coco, tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp('data'), 'val', num_images=4)


def samples(root, keep=None, shift=0.0):
    """The truth as predictions, of which an image keeps the first ``keep``."""
    content = json.loads((root / 'val.json').read_text())
    out = []
    for image in content['images']:
        anns = [a for a in content['annotations'] if a['image_id'] == image['id']][:keep]
        boxes = np.array([a['bbox'] for a in anns], dtype=np.float32).reshape(-1, 4) + shift
        boxes[:, 2:] += boxes[:, :2]
        out.append(
            dict(
                img_id=image['id'],
                img_path=str(root / 'images' / image['file_name']),
                pred_instances=dict(
                    bboxes=torch.from_numpy(boxes),
                    scores=torch.linspace(0.9, 0.5, len(anns)),
                    labels=torch.tensor([a['category_id'] - 1 for a in anns], dtype=torch.long),
                ),
            )
        )
    return out


def write_run(folder, name, root, seed=0, keep=None, teacher=None, classes=None):
    """A work directory as tools/train.py and tools/test.py leave it."""
    folder.mkdir(parents=True)
    model = dict(type='LDWSCCD', backbone=dict(type='SSDVGG'), teacher=teacher)
    dataset = dict(data_root=f'{root}/', ann_file='val.json', data_prefix=dict(img='images/'))
    if classes:
        dataset['metainfo'] = dict(classes=classes)
    (folder / f'{name}.py').write_text(
        f'model = {model}\ntest_dataloader = dict(dataset={dataset})\n'
        f'randomness = dict(seed={seed})\ntrain_cfg = dict(max_epochs=2)\n'
        "optim_wrapper = dict(type='CPUAmpOptimWrapper')\n"
    )
    (folder / '20261122_230000' / 'vis_data').mkdir(parents=True)
    (folder / '20261122_230000' / '20261122_230000.log').write_text(LOG)
    (folder / '20261122_230000' / 'vis_data' / 'scalars.json').write_text(
        '{"loss": 2.0, "loss_mil": 0.5, "epoch": 1, "step": 2}\n'
    )
    (folder / 'predictions.pkl').write_bytes(pickle.dumps(samples(root, keep)))


def run(*arguments):
    fast = ['--resamples', '10', '--num-errors', '2', '--num-fields', '1']
    main(parse_args('report', [*map(str, arguments), *fast]))


def test_work_dirs(data, tmp_path, capsys):
    works = tmp_path / 'works'
    for seed, keep in ((0, 1), (1, 0)):
        write_run(works / f'ssd_{seed}', 'ssd', data, seed, keep)
    teacher = dict(config='configs/teacher.py', checkpoint='work_dirs/teacher/epoch_2.pth')
    for seed in (0, 1):
        write_run(works / f'ld_{seed}', 'ld', data, seed, teacher=teacher)
    write_run(works / 'teacher', 'teacher', data, 0)
    run(
        *sorted(works.glob('ssd_*')),
        f'LD-WSCCD={works}/ld_0',
        f'LD-WSCCD={works}/ld_1',
        works / 'teacher',
        '--out',
        tmp_path / 'out' / 'report.html',
    )
    said = capsys.readouterr().out
    assert '| LD-WSCCD | SSDVGG + local distillation | 0, 1 | 100.0 ± 0.0' in said
    assert '| ssd | SSDVGG | 0, 1 |' in said
    assert '| teacher | teacher | 0 | 100.0' in said
    assert '2 min 00 s' in said
    text = (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')
    assert 'minus teacher' in text
    assert 'Gain over ssd' in text
    assert '2.13.0+cpu' in text
    assert f'{works}/ld_0/epoch_2.pth' in text
    assert '--amp' in text
    assert 'data:image/jpeg' in text
    assert 'LD-WSCCD, seed 1' in text


def test_predictions_alone(data, tmp_path):
    """Images are found where the test read them, the rest is left out."""
    for name, keep in (('one', 1), ('all', None)):
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(samples(data, keep)))
    (tmp_path / 'elsewhere.json').write_text((data / 'val.json').read_text())
    run(
        f'SSD={tmp_path}/one.pkl',
        tmp_path / 'all.pkl',
        '--ann',
        tmp_path / 'elsewhere.json',
        '--out',
        tmp_path / 'r.html',
    )
    text = (tmp_path / 'r.html').read_text(encoding='utf-8')
    assert 'id="training"' not in text
    assert 'data:image/jpeg' in text
    assert 'predictions only' in text


def test_no_detection_at_all(data, tmp_path):
    (tmp_path / 'none.pkl').write_bytes(pickle.dumps(samples(data, 0)))
    (tmp_path / 'val.json').write_text((data / 'val.json').read_text())
    run(tmp_path / 'none.pkl', '--ann', tmp_path / 'val.json', '--out', tmp_path / 'r.html')
    text = (tmp_path / 'r.html').read_text(encoding='utf-8')
    assert 'No model has a single detection' in text
    assert 'nan' not in (tmp_path / 'r.md').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ('other set', r'x, .*x.pkl: .* are of different sets: 4 of 4 images'),
        ('cut short', r'x.pkl does not hold predictions .* write it again'),
        ('no such file', r'no predictions at .*x.pkl'),
        ('no image', r'x.pkl holds no image'),
        ('more classes', r'x, .*x.pkl: .* class indices 0 to 7, but there are 3'),
    ],
)
def test_bad_predictions(data, tmp_path, change, message):
    path = tmp_path / 'x.pkl'
    rows = samples(data)
    if change == 'other set':
        rows = [{**row, 'img_id': row['img_id'] + 100} for row in rows]
    if change == 'no image':
        rows = []
    if change == 'more classes':
        rows[0]['pred_instances']['labels'][0] = 0
        rows[0]['pred_instances']['labels'][1] = 7
    content = pickle.dumps(rows)
    if change != 'no such file':
        path.write_bytes(content[:300] if change == 'cut short' else content)
    with pytest.raises(ResultsError, match=message):
        run(path, '--ann', data / 'val.json', '--out', tmp_path / 'r.html')
    assert not (tmp_path / 'r.html').exists()


def test_classes_of_another_set(data, tmp_path):
    write_run(tmp_path / 'run', 'ssd', data, classes=('RBC', 'WBC'))
    with pytest.raises(ResultsError, match=r'ssd, .*trained for classes .* lack \(RBC, WBC'):
        run(tmp_path / 'run', '--out', tmp_path / 'r.html')


def test_folder_without_predictions(data, tmp_path):
    write_run(tmp_path / 'run', 'ssd', data)
    (tmp_path / 'run' / 'predictions.pkl').unlink()
    (tmp_path / 'run' / 'epoch_2.pth').touch()
    page = tmp_path / 'r.html'
    drawn = tmp_path / 'run' / '20261122_230000' / 'vis_data' / 'val_pictures' / '0_field.jpg'
    drawn.parent.mkdir()
    shutil.copy(next((data / 'images').glob('*.jpg')), drawn)
    run(tmp_path / 'run', '--out', page)  # what the training has logged so far
    text = page.read_text(encoding='utf-8')
    assert text.count('data:image/jpeg;base64,') == 1 and '<span>field</span>' in text
    assert 'ldwsccd test' in text and 'epoch_2.pth --out' in text
    assert 'Training of ssd' in text and '1 of 2' in text
    shutil.rmtree(tmp_path / 'run' / '20261122_230000')
    with pytest.raises(ResultsError, match='ldwsccd test .*ssd.py .*epoch_2.pth --out'):
        run(tmp_path / 'run')
    for name in 'ab':
        (tmp_path / 'run' / f'{name}.pkl').touch()
    with pytest.raises(ResultsError, match=r'2 files of predictions \(a.pkl, b.pkl\)'):
        run(tmp_path / 'run')


def test_other_faults(data, tmp_path):
    write_run(tmp_path / 'run', 'ssd', data)
    with pytest.raises(ResultsError, match='neither a work directory nor a .pkl .* nor a .json'):
        run(tmp_path / 'nothing')
    with pytest.raises(ConfigError, match="--baseline is 'SSD', expected one of ssd"):
        run(tmp_path / 'run', '--baseline', 'SSD')
    with pytest.raises(ConfigError, match='name it with --ann'):
        run(tmp_path / 'run' / 'predictions.pkl')
    with pytest.raises(DatasetError, match='is not JSON'):
        run(tmp_path / 'run', '--ann', __file__)
    with pytest.raises(DatasetError, match='--images: .* has not the images val_1.jpg'):
        run(tmp_path / 'run', '--images', tmp_path)


def coco_results(root):
    """The truth as another tool writes it: images by their stems."""
    content = json.loads((root / 'val.json').read_text())
    stems = {image['id']: image['file_name'].partition('.')[0] for image in content['images']}
    return [
        dict(image_id=stems[a['image_id']], category_id=a['category_id'], bbox=a['bbox'], score=0.8)
        for a in content['annotations']
    ]


def test_results_of_another_tool_and_some_classes(data, tmp_path, capsys):
    """A model that knows other classes in another order stands beside COCO's results."""
    write_run(tmp_path / 'run', 'ssd', data, classes=('scc', 'hsil', 'lsil'))
    turned = samples(data)
    for sample in turned:
        sample['pred_instances']['labels'] = 2 - sample['pred_instances']['labels']
    (tmp_path / 'run' / 'predictions.pkl').write_bytes(pickle.dumps(turned))
    (tmp_path / 'yolo').mkdir()
    (tmp_path / 'yolo' / 'predictions.json').write_text(json.dumps(coco_results(data)))
    speed = tmp_path / 'speed.csv'
    speed.write_text('model,latency_ms\nyolo,12.5\n')
    flags = ['--out', tmp_path / 'r.html', '--classes', 'hsil', 'scc', '--speed', speed]
    run(tmp_path / 'run', tmp_path / 'yolo', *flags, '--targets', 'scc')
    said = capsys.readouterr().out
    assert '| ssd | SSDVGG | 0 | 100.0' in said
    assert '| yolo |  | 1 run of unknown seed | 100.0' in said and '| 12.5 |' in said
    text = (tmp_path / 'r.html').read_text(encoding='utf-8')
    assert 'target cell (scc)' in text and 'lsil</th>' not in text.partition('id="settings"')[0]
    with pytest.raises(ResultsError, match='--classes: agc is none of the classes of ssd'):
        run(tmp_path / 'run', '--classes', 'agc')
    with pytest.raises(ConfigError, match=r'has none of the models \(ssd\), but yolo'):
        run(tmp_path / 'run', '--speed', speed, '--out', tmp_path / 'r.html')


def test_speed_table_of_something_else(data, tmp_path):
    write_run(tmp_path / 'run', 'ssd', data)
    (tmp_path / 'speed.csv').write_text('name,ms\nssd,1\n')
    with pytest.raises(ConfigError, match='has the columns ms, name, expected model and some of'):
        run(tmp_path / 'run', '--speed', tmp_path / 'speed.csv')


def test_ap_table(data, tmp_path, capsys):
    for name, keep in (('half', 1), ('all', None)):
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(samples(data, keep)))
    models = [f'SSD={tmp_path}/half.pkl', f'LD-WSCCD={tmp_path}/all.pkl']
    table = tmp_path / 'out' / 'table.csv'
    flags = ['--ann', data / 'val.json', '--out', tmp_path / 'r.html', '--csv', table]
    run(*models, *flags)
    rows = list(csv.reader(table.open()))
    assert rows[0][:3] == ['model', 'mAP@50', 'gain over SSD']
    assert rows[0][3:] == ['lsil', 'hsil', 'scc']
    assert rows[2][:2] == ['LD-WSCCD', '100.0']
    assert float(rows[2][2]) == pytest.approx(100 - float(rows[1][1]), abs=0.11)
    assert 0 < float(rows[1][1]) < 100
    assert rows[3][1] == '8'
    assert '| LD-WSCCD | 100.0 |' in capsys.readouterr().out
