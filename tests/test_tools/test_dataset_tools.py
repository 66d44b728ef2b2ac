"""The command lines of the data tools, each in a process of its own where that is quick."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from ldwsccd_mmdet.visualization import CytologyVisualizer
from tests.commands import run_door


@pytest.fixture
def call(capsys):
    """Call a tool's main: ``call('tools/x.py', args)`` returns exit code, stdout and stderr."""

    def run(tool, *args):
        code = run_door(tool, *args)
        return (code, *capsys.readouterr())

    return run


def test_coco_to_yolo_to_coco(call, tiny_coco, tmp_path):
    root = tiny_coco()
    to_yolo = ('tools/dataset_converters/coco_to_yolo.py', root / 'train.json')
    assert call(*to_yolo, '--out', tmp_path / 'yolo')[:2] == (0, f'{tmp_path / "yolo"}: 8 boxes\n')
    code, _, error = call(*to_yolo, '--out', tmp_path / 'yolo')
    assert code == 2 and error.startswith('error: --out') and error.count('\n') == 1
    to_coco = (
        'tools/dataset_converters/yolo_to_coco.py',
        '--images',
        root / 'images',
        '--labels',
        tmp_path / 'yolo',
        '--names',
        tmp_path / 'yolo' / 'classes.txt',
        '--out',
    )
    code, out, _ = call(*to_coco, tmp_path / 'back.json')
    assert code == 0 and '4 images, 8 boxes' in out
    assert call(*to_coco, tmp_path / 'back.json')[0] == 2


def test_comparison_detector(call, tiny_coco, tmp_path):
    root = tiny_coco()
    tiny_coco('test', num_images=2)
    tool = (
        'tools/dataset_converters/comparison_detector_to_coco.py',
        '--train',
        root / 'train.json',
        '--test',
        root / 'test.json',
        '--images',
        root / 'images',
        '--out',
        tmp_path / 'ccd',
    )
    code, out, _ = call(*tool)
    assert code == 0 and 'note: train has 4 images, the public split 6666' in out
    assert (tmp_path / 'ccd' / 'images' / 'test_2.jpg').is_symlink()
    assert len(json.loads((tmp_path / 'ccd' / 'train.json').read_text())['images']) == 4
    code, _, error = call(*tool)
    assert code == 2 and 'train.json, ' in error and 'nothing is overwritten' in error
    (root / 'test.json').write_bytes((root / 'train.json').read_bytes())
    code, _, error = call(*tool[:-1], tmp_path / 'other')
    assert code == 2 and '4 images are in train and in test' in error


def test_pascal_voc(call, tmp_path):
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (tmp_path / 'voc' / folder).mkdir(parents=True)
    for name, label in (('1', 'x'), ('2', 'y')):
        Image.new('RGB', (60, 40)).save(tmp_path / 'voc' / 'JPEGImages' / f'{name}.jpg')
        (tmp_path / 'voc' / 'Annotations' / f'{name}.xml').write_text(
            f'<a><object><name>{label}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>'
            '<ymax>9</ymax></bndbox></object></a>'
        )
    for split, name in (('train', '1'), ('val', '2')):
        (tmp_path / 'voc' / 'ImageSets' / 'Main' / f'{split}.txt').write_text(name)
    tool = ('tools/dataset_converters/pascal_voc_to_coco.py', tmp_path / 'voc')
    code, _, _ = call(*tool, '--out', tmp_path / 'out', '--splits', 'train', 'val')
    assert code == 0
    contents = [json.loads((tmp_path / 'out' / f'{s}.json').read_text()) for s in ('train', 'val')]
    # every split has every class, so that ids agree
    assert contents[0]['categories'] == contents[1]['categories']
    assert [c['name'] for c in contents[0]['categories']] == ['x', 'y']
    code, _, error = call(*tool, '--out', tmp_path / 'third', '--splits', 'val', '--rename', 'x')
    assert code == 2 and 'expected OLD=NEW' in error


def test_points(call, tiny_coco, tmp_path):
    root = tiny_coco()
    table = tmp_path / 'cells.csv'
    table.write_text('f,c,x,y\ntrain_1.jpg,HSIL,30,30\ntrain_2.jpg,junk,3,3\n')
    code, out, _ = call(
        'tools/dataset_converters/points_to_coco.py',
        table,
        '--images',
        root / 'images',
        '--box-size',
        20,
        '--columns',
        'f',
        'c',
        'x',
        'y',
        '--rename',
        'junk=',
        '--out',
        tmp_path / 'points.json',
    )
    assert code == 0 and '2 images, 1 boxes' in out and '1 of a class left out' in out


def test_dataset_doctor(call, tiny_coco, tmp_path):
    def edit(content):
        content['annotations'][0]['bbox'][2] = 0

    # three different pictures
    root = tiny_coco(num_images=3, edit=edit)
    for number, shade in ((1, 40), (2, 90), (3, 140)):
        image = Image.open(root / 'images' / f'train_{number}.jpg')
        image.paste((shade, 0, 0), (10 * number, 0, 30 * number, 60))
        image.save(root / 'images' / f'train_{number}.jpg')
    tool = ('tools/dataset_doctor.py', root / 'train.json')
    extra = ('--json', tmp_path / 'd.json', '--pictures', tmp_path / 'pictures')
    code, out, _ = call(*tool, *extra)
    assert code == 0, out
    assert '1 boxes of no area' in out and '0 errors' in out
    findings = json.loads((tmp_path / 'd.json').read_text())['findings']
    assert 'box-no-area' in {finding['check'] for finding in findings}
    assert (tmp_path / 'pictures' / 'box-no-area_1.jpg').is_file()
    assert call(*tool, '--fail-on', 'warning', '--annotations-only')[0] == 1
    (root / 'images' / 'train_2.jpg').unlink()
    code, out, _ = call(*tool)
    assert code == 1 and '1 of 3 image files are missing' in out
    assert call(*tool, '--fail-on', 'never')[0] == 0
    (root / 'train.json').write_text('{"images": [')
    code, out, error = call(*tool)
    assert code == 2 and error.startswith('error: annotation file') and error.count('\n') == 1


def test_browse_dataset_ends(tiny_coco, tmp_path, capsys, monkeypatch):
    """On a data set that is repeated for ever, too."""
    root = tiny_coco(num_images=3)
    config = tmp_path / 'config.py'
    config.write_text(f"""
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
            dict(type='RandomFlip', prob=1.0), dict(type='PackDetInputs')]
data = dict(type='CervicalCellDataset', data_root='{root}', ann_file='train.json',
            data_prefix=dict(img='images'), metainfo=dict(classes=('lsil', 'hsil', 'scc')),
            pipeline=pipeline)
train_dataloader = dict(dataset=dict(type='RepeatDataset', times=10**9, dataset=data))
val_dataloader = dict(dataset=dict(type='ConcatDataset', datasets=[data, data]))
""")
    for options, count in (([], 3), (['-n', '2'], 2), (['--phase', 'val'], 6)):
        out = tmp_path / f'out{count}'
        assert run_door('tools/browse_dataset.py', config, '--out', out, *options) == 0
        pictures = sorted(out.iterdir())
        assert len(pictures) == count and f'{count} pictures' in capsys.readouterr().out
    assert Image.open(pictures[0]).size[0] == 3 * 96
    # a test pipeline loads boxes of the original image: they are scaled to the one it hands on
    late = (
        "[dict(type='LoadImageFromFile'), dict(type='Resize', scale=(192, 128)), "
        "dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]"
    )
    early = config.read_text().split('pipeline = ')[1].split('\ndata')[0]
    drawn = []
    monkeypatch.setattr(
        CytologyVisualizer,
        'add_datasample',
        lambda self, name, image, sample, **_: drawn.append((image, sample)),
    )
    config.write_text(config.read_text().replace(early, late))
    assert run_door('tools/browse_dataset.py', config, '-n', 1) == 0
    image, sample = drawn[0]
    x, y, w, h = json.loads((root / 'train.json').read_text())['annotations'][0]['bbox']
    box = sample.gt_instances.bboxes.tensor[0].tolist()
    assert image.shape == (128, 192, 3) and box == [2 * v for v in (x, y, x + w, y + h)]
    assert run_door('tools/browse_dataset.py', config, '--phase', 'test') == 2
    assert 'no test_dataloader' in capsys.readouterr().err
    assert run_door('tools/browse_dataset.py', config, '-n', 0) == 2
    assert 'expected a whole number of 1 or more' in capsys.readouterr().err
