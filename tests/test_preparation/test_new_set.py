"""From what annotation tools export to configs that train: formats, images, splits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ldwsccd_mmdet.datasets.splits import split_images, subset
from ldwsccd_mmdet.errors import ConfigError, DatasetError
from ldwsccd_mmdet.preparation.exports import read_export
from ldwsccd_mmdet.preparation.new_set import make_new_set, splits_of

BOXES = {
    'a 1.png': [('cell', [10.0, 20.0, 30.0, 16.0])],
    'b.png': [('cell', [0.0, 0.0, 8.0, 9.0]), ('dirt', [50.0, 30.0, 10.0, 20.0])],
}


def put_images(folder: Path, names=tuple(BOXES)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.full((80, 100, 3), 200, np.uint8))


def coco() -> dict:
    names = ('cell', 'dirt')
    rows = [(i, name, box) for i, boxes in enumerate(BOXES.values(), 1) for name, box in boxes]
    return {
        'images': [
            {'id': i, 'file_name': name, 'width': 100, 'height': 80}
            for i, name in enumerate(BOXES, 1)
        ],
        'categories': [{'id': i, 'name': name} for i, name in enumerate(names, 1)],
        'annotations': [
            {
                'id': i,
                'image_id': image,
                'category_id': names.index(name) + 1,
                'bbox': box,
                'area': box[2] * box[3],
                'iscrowd': 0,
            }
            for i, (image, name, box) in enumerate(rows, 1)
        ],
    }


def as_cvat(root: Path) -> Path:
    put_images(root / 'images')
    images = ''.join(
        f'<image id="{i}" name="{name}" width="100" height="80">'
        + ''.join(
            f'<box label="{label}" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}"/>'
            if label == 'cell'
            else f'<polygon label="{label}" points="{x},{y};{x + w},{y};{x + w},{y + h}"/>'
            for label, (x, y, w, h) in boxes
        )
        + '</image>'
        for i, (name, boxes) in enumerate(BOXES.items())
    )
    (root / 'annotations.xml').write_text(
        f'<annotations><version>1.1</version>{images}</annotations>'
    )
    return root / 'annotations.xml'


def as_label_studio(root: Path) -> Path:
    put_images(root / 'upload')
    tasks = [
        {
            'data': {'image': f'/data/upload/3/0a1b2c3d-{name.replace(" ", "%20")}'},
            'annotations': [
                {
                    'was_cancelled': False,
                    'result': [
                        {
                            'type': 'rectanglelabels',
                            'original_width': 100,
                            'original_height': 80,
                            'value': {
                                'x': x,
                                'y': y / 0.8,
                                'width': w,
                                'height': h / 0.8,
                                'rotation': 0,
                                'rectanglelabels': [label],
                            },
                        }
                        for label, (x, y, w, h) in boxes
                    ],
                }
            ],
        }
        for name, boxes in BOXES.items()
    ]
    (root / 'project.json').write_text(json.dumps(tasks))
    return root / 'project.json'


def as_labelme(root: Path) -> Path:
    put_images(root)
    for name, boxes in BOXES.items():
        shapes = [
            {'label': label, 'shape_type': 'rectangle', 'points': [[x + w, y + h], [x, y]]}
            for label, (x, y, w, h) in boxes
        ]
        content = {
            'imagePath': f'..\\x\\{name}',
            'imageWidth': 100,
            'imageHeight': 80,
            'shapes': shapes,
        }
        (root / name).with_suffix('.json').write_text(json.dumps(content))
    return root


def as_qupath(root: Path) -> Path:
    put_images(root / 'images')
    for name, boxes in BOXES.items():
        features = [
            {
                'type': 'Feature',
                'properties': {'classification': {'name': label}},
                'geometry': {
                    'type': 'Polygon',
                    'coordinates': [[[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]],
                },
            }
            for label, (x, y, w, h) in boxes
        ]
        features.append(
            {
                'type': 'Feature',
                'properties': {},
                'geometry': {'type': 'Point', 'coordinates': [1, 1]},
            }
        )
        (root / f'{Path(name).stem}.geojson').write_text(
            json.dumps({'type': 'FeatureCollection', 'features': features})
        )
    return root


def as_roboflow(root: Path) -> Path:
    put_images(root / 'train')
    (root / 'train' / '_annotations.coco.json').write_text(json.dumps(coco()))
    return root / 'train'


def as_cvat_coco(root: Path) -> Path:
    put_images(root / 'images')
    (root / 'annotations').mkdir(parents=True)
    (root / 'annotations' / 'instances_default.json').write_text(json.dumps(coco()))
    return root


FORMATS: dict[str, Callable[[Path], Path]] = {
    function.__name__: function
    for function in (as_cvat, as_label_studio, as_labelme, as_qupath, as_roboflow, as_cvat_coco)
}


@pytest.mark.parametrize('name', FORMATS)
def test_reads_what_tools_export(tmp_path: Path, name: str) -> None:
    export = read_export(FORMATS[name](tmp_path / 'set'))
    assert export.classes == ('cell', 'dirt') and len(export.paths) == 2
    assert all(path.is_file() for path in export.paths.values())
    of_image = {image['id']: image for image in export.content['images']}
    label_of = {category['id']: category['name'] for category in export.content['categories']}
    found = sorted(
        (of_image[a['image_id']]['file_name'], label_of[a['category_id']], *np.round(a['bbox'], 4))
        for a in export.content['annotations']
    )
    assert found == sorted(
        (image, label, *box) for image, boxes in BOXES.items() for label, box in boxes
    )
    assert all((i['width'], i['height']) == (100, 80) for i in of_image.values())


def test_cvat_shapes_of_every_kind(tmp_path: Path) -> None:
    """Masks, skeletons and cuboids have boxes; tags of whole images do not stop the import."""
    put_images(tmp_path / 'images', ['a.png'])
    shapes = (
        '<mask label="cell" rle="1, 2" left="5" top="6" width="7" height="8"/>'
        '<skeleton label="cell"><points label="p" points="10,12"/>'
        '<points label="q" points="20,30"/></skeleton>'
        '<cuboid label="cell" xtl1="40" ytl1="41" xbl1="40" ybl1="50" xtr1="60" ytr1="41" '
        'xbr1="60" ybr1="50" xtl2="44" ytl2="38" xbl2="44" ybl2="47" xtr2="64" ytr2="38" '
        'xbr2="64" ybr2="47"/>'
        '<box label="cell" xtl="10" ytl="20" xbr="30" ybr="24" rotation="90"/>'
        '<ellipse label="cell" cx="50" cy="50" rx="5" ry="6"/><tag label="blurred"/>'
    )
    labels = (
        '<label><name>cell</name><type>any</type></label>'
        '<label><name>blurred</name><type>tag</type></label>'
        '<label><name>p</name><type>points</type><parent>cell</parent></label>'
    )
    (tmp_path / 'annotations.xml').write_text(
        f'<annotations><meta><task><labels>{labels}</labels></task></meta>'
        f'<image id="0" name="a.png" width="100" height="80">{shapes}</image></annotations>'
    )
    export = read_export(tmp_path / 'annotations.xml')
    assert export.classes == ('cell',)
    found = [np.round(a['bbox'], 6).tolist() for a in export.content['annotations']]
    assert found == [
        [5, 6, 7, 8],
        [10, 12, 10, 18],
        [40, 38, 24, 12],
        [18, 12, 4, 20],
        [45, 44, 10, 12],
    ]
    assert len(export.notes) == 1 and '1 labels are not used: 1 tags' in export.notes[0]


def test_cvat_tracks_of_a_video(tmp_path: Path) -> None:
    (tmp_path / 'a.xml').write_text('<annotations><track id="0" label="a"/></annotations>')
    with pytest.raises(DatasetError, match="tracks of a video.*'CVAT for images 1.1'"):
        read_export(tmp_path / 'a.xml')


def test_label_studio_strokes_and_shapes_without_label(tmp_path: Path) -> None:
    """They are counted, and do not stop the import; choices are no shapes."""
    file = as_label_studio(tmp_path / 'set')
    tasks = json.loads(file.read_text())
    result = tasks[0]['annotations'][0]['result']
    size = {'original_width': 100, 'original_height': 80}
    result += [
        {'type': 'brushlabels', 'value': {'rle': [1], 'brushlabels': ['cell']}, **size},
        {'type': 'rectanglelabels', 'value': {**result[0]['value'], 'rectanglelabels': []}, **size},
        {'type': 'choices', 'value': {'choices': ['good']}},
    ]
    file.write_text(json.dumps(tasks))
    export = read_export(file)
    assert len(export.content['annotations']) == 3
    assert 'LABELS ARE LOST, 40%: 2 labels are not used' in export.notes[0]
    assert 'brushlabels' in export.notes[0]


def change(file: Path, edit: Callable[[Any], None]) -> Path:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))
    return file


def apart(tasks: list[dict]) -> None:
    """Shapes and labels as tags of their own: two results of one id."""
    for task in tasks:
        results = []
        for index, result in enumerate(task['annotations'][0]['result']):
            value = dict(result['value'])
            label = value.pop('rectanglelabels')
            bare = {**result, 'id': str(index), 'type': 'rectangle', 'value': value}
            results += [bare, {**bare, 'type': 'labels', 'value': {**value, 'labels': label}}]
        task['annotations'][0]['result'] = results


def test_label_studio_shapes_and_labels_apart(tmp_path: Path) -> None:
    plain = read_export(as_label_studio(tmp_path / 'plain'))
    found = read_export(change(as_label_studio(tmp_path / 'set'), apart))
    assert found.content['annotations'] == plain.content['annotations'] and not found.notes


def test_label_studio_tasks_that_nobody_has_annotated(tmp_path: Path) -> None:
    """They are no images without cells; a task whose annotation is empty is one."""
    put_images(tmp_path / 'set' / 'upload', ['c.png', 'd.png', 'e.png'])
    skipped = [{'was_cancelled': True, 'result': []}]

    def more(tasks: list[dict]) -> None:
        for name, done in (('c', []), ('d', skipped), ('e', [{'result': []}])):
            data = {'image': f'/data/upload/3/0a1b2c3d-{name}.png'}
            tasks.append({'data': data, 'annotations': done})

    export = read_export(change(as_label_studio(tmp_path / 'set'), more))
    assert list(export.paths) == [*BOXES, 'e.png']
    assert len(export.notes) == 1 and '2 images that nobody has annotated' in export.notes[0]
    file = change(as_label_studio(tmp_path / 'none'), lambda tasks: tasks[0].update(annotations=[]))
    with pytest.raises(DatasetError, match='nobody has annotated any of its 1 tasks'):
        read_export(change(file, lambda tasks: tasks.pop()))
    with pytest.raises(DatasetError, match="not Label Studio's JSON export.*'annotations'"):
        read_export(change(file, lambda tasks: tasks[0].pop('annotations')))


def test_images_of_one_name_in_several_folders(tmp_path: Path) -> None:
    """Whose boxes are whose, nothing tells."""

    def same(tasks: list[dict]) -> None:
        for index, task in enumerate(tasks):
            task['data']['image'] = f'/data/local-files/?d=patient{index}/1.png'

    for make in (as_labelme, as_qupath):
        for part in ('p1', 'p2'):
            make(tmp_path / make.__name__ / part)
            put_images(tmp_path / make.__name__ / part)
    sources = [tmp_path / 'as_labelme', tmp_path / 'as_qupath']
    sources.append(change(as_label_studio(tmp_path / 'set'), same))
    for source in sources:
        with pytest.raises(DatasetError, match=r"two images are named '\S+"):
            read_export(source)


def test_labelme_without_sizes(tmp_path: Path) -> None:
    folder = as_labelme(tmp_path / 'set')
    for file in folder.glob('*.json'):
        change(file, lambda c: c.update(imageWidth=None, imageHeight=None))
    export = read_export(folder)
    assert all((i['width'], i['height']) == (100, 80) for i in export.content['images'])


@pytest.mark.parametrize('data', [{'photo': 0}, {'patient': 'p7', 'photo': 0, 'note': 'a.b'}])
def test_label_studio_images_under_any_key(tmp_path: Path, data: dict) -> None:
    """The labelling set-up names the key: value="$photo"."""
    file = as_label_studio(tmp_path / 'set')
    tasks = json.loads(file.read_text())
    for task in tasks:
        task['data'] = {**data, 'photo': task['data']['image']}
    file.write_text(json.dumps(tasks))
    assert set(read_export(file).paths) == set(BOXES)
    tasks[0]['data'] = {'patient': 'p7', 'note': 'no image'}
    file.write_text(json.dumps(tasks))
    with pytest.raises(DatasetError, match='no image among the data of a task: patient, note'):
        read_export(file)


@pytest.mark.parametrize('tool', ['CVAT', 'Label Studio'])
def test_the_box_around_a_turned_ellipse(tmp_path: Path, tool: str) -> None:
    """As of many points on it."""
    put_images(tmp_path / 'images', ['a.png'])
    if tool == 'CVAT':
        file = tmp_path / 'annotations.xml'
        shape = '<ellipse label="cell" cx="50" cy="40" rx="20" ry="6" rotation="30"/>'
        image = f'<image id="0" name="a.png" width="100" height="80">{shape}</image>'
        file.write_text(f'<annotations>{image}</annotations>')
    else:
        file = tmp_path / 'project.json'
        value = {'x': 50, 'y': 50, 'radiusX': 20, 'radiusY': 7.5, 'rotation': 30}
        region = {'type': 'ellipselabels', 'original_width': 100, 'original_height': 80}
        region['value'] = {**value, 'ellipselabels': ['cell']}
        task = {'data': {'image': '/a.png'}, 'annotations': [{'result': [region]}]}
        file.write_text(json.dumps([task]))
    turn, step = np.radians(30), np.linspace(0, 2 * np.pi, 10_000)
    x, y = 20 * np.cos(step), 6 * np.sin(step)
    x, y = 50 + x * np.cos(turn) - y * np.sin(turn), 40 + x * np.sin(turn) + y * np.cos(turn)
    expected = [x.min(), y.min(), np.ptp(x), np.ptp(y)]
    (annotation,) = read_export(file).content['annotations']
    assert np.allclose(annotation['bbox'], expected, atol=1e-4)


def test_qupath_objects_without_class_are_counted(tmp_path: Path) -> None:
    assert '2 without a class' in read_export(as_qupath(tmp_path / 'set')).notes[0]


def test_roboflow_names_its_project_as_a_class(tmp_path: Path) -> None:
    folder = as_roboflow(tmp_path / 'set')
    file = folder / '_annotations.coco.json'
    content = json.loads(file.read_text())
    content['categories'] = [
        {'id': 0, 'name': 'my-project', 'supercategory': 'none'},
        *({**c, 'supercategory': 'my-project'} for c in content['categories']),
    ]
    file.write_text(json.dumps(content))
    assert read_export(folder).classes == ('cell', 'dirt')
    with pytest.raises(DatasetError, match='name one file') as error:
        (tmp_path / 'set' / 'valid').mkdir()
        (tmp_path / 'set' / 'valid' / '_annotations.coco.json').write_text(file.read_text())
        read_export(tmp_path / 'set')
    assert 'train/_annotations.coco.json' in str(error.value)


def test_images_two_folders_down_as_cvat_has_them(tmp_path: Path) -> None:
    root = as_cvat_coco(tmp_path / 'set')
    (root / 'images').rename(root / 'pictures')
    (root / 'images').mkdir()
    (root / 'pictures').rename(root / 'images' / 'default')
    for given in (root, root / 'annotations' / 'instances_default.json'):
        assert read_export(given).folder == root / 'images' / 'default'


def test_labelme_one_folder_down(tmp_path: Path) -> None:
    as_labelme(tmp_path / 'set' / 'labels')
    assert read_export(tmp_path / 'set').classes == ('cell', 'dirt')


def test_says_where_it_looked_for_images(tmp_path: Path) -> None:
    file = tmp_path / 'set' / 'a.json'
    put_images(tmp_path / 'set' / 'elsewhere', ['other.png'])
    file.write_text(json.dumps(coco()))
    with pytest.raises(DatasetError, match=r'looked in .*set/elsewhere.*--images') as error:
        read_export(file)
    assert '\n' not in str(error.value)
    put_images(tmp_path / 'far')
    assert read_export(file, tmp_path / 'far').folder == tmp_path / 'far'


@pytest.mark.parametrize(
    ('name', 'content', 'match'),
    [
        ('a.json', 'no json', 'not JSON'),
        ('a.json', '[{"x": 1}]', 'Label Studio'),
        ('a.json', '[{"image": "a", "annotations": []}]', "looks like CreateML's own format"),
        ('a.json', '{"a.png9": {"filename": "a.png", "regions": []}}', "looks like VIA's own"),
        ('a.json', '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}]', 'Label Studio'),
        ('a.xml', '<html/>', 'is a web page'),
        ('a.xml', '<other/>', "not CVAT's XML"),
        ('a.xml', '<annotations>', "not CVAT's XML"),
        ('a.xml', '<!DOCTYPE x [<!ENTITY a "b">]><annotations/>', 'entities'),
        ('a.txt', '', 'expected COCO json.*YOLO become COCO json by ldwsccd convert'),
        ('a.json', '\x1f\x8b\x08', 'is packed: unpack it'),
        ('a.zip', '', 'unpack it'),
        ('a.json', '{"shapes": [{"label": 1}]}', "not labelme's"),
    ],
)
def test_one_line_for_other_files(tmp_path: Path, name: str, content: str, match: str) -> None:
    (tmp_path / name).write_bytes(content.encode('latin-1'))
    with pytest.raises(DatasetError, match=match) as error:
        read_export(tmp_path / name)
    assert '\n' not in str(error.value)


def test_folders_that_hold_no_export(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match='holds no .json.*name one file'):
        read_export(tmp_path)
    with pytest.raises(DatasetError, match='does not exist'):
        read_export(tmp_path / 'gone')


def many(num_images: int = 60, patients: int = 12, seed: int = 0) -> dict:
    """A set of three classes, the third rare."""
    rng = np.random.default_rng(seed)
    images = [
        {'id': i, 'file_name': f'p{i % patients:02d}_{i}.png', 'width': 100, 'height': 80}
        for i in range(num_images)
    ]
    annotations = [
        {
            'id': n,
            'image_id': int(rng.integers(num_images)),
            'bbox': [5, 5, 20, 20],
            'category_id': int(rng.choice(3, p=[0.7, 0.25, 0.05])) + 1,
            'area': 400,
            'iscrowd': 0,
        }
        for n in range(400)
    ]
    return {
        'images': images,
        'annotations': annotations,
        'categories': [{'id': i + 1, 'name': name} for i, name in enumerate('abc')],
    }


@pytest.mark.parametrize('group', [None, r'^(p\d+)_'])
def test_splits_by_class_and_group(group: str | None) -> None:
    content = many()
    part = split_images(content, [0.75, 0.25], seed=1, group=group)
    assert 0.15 <= part.mean() <= 0.35
    labels = [a['category_id'] for a in content['annotations']]
    inside = [a['category_id'] for a in subset(content, part == 1)['annotations']]
    for label in (1, 2, 3):
        assert 0.1 <= inside.count(label) / labels.count(label) <= 0.45
    if group:
        names = [image['file_name'].split('_')[0] for image in content['images']]
        assert not {n for n, p in zip(names, part, strict=True) if p} & {
            n for n, p in zip(names, part, strict=True) if not p
        }
    assert np.array_equal(part, split_images(content, [0.75, 0.25], seed=1, group=group))


def test_folds_hold_each_image_once() -> None:
    content = many()
    part = split_images(content, [0.25] * 4)
    assert sorted(np.bincount(part)) and np.bincount(part).min() >= 10
    assert set(part) == {0, 1, 2, 3}


def test_split_refuses() -> None:
    content = many(6, 6)
    with pytest.raises(ConfigError, match='no regular expression'):
        split_images(content, [0.5, 0.5], group='(')
    with pytest.raises(ConfigError, match='does not fit the file name'):
        split_images(content, [0.5, 0.5], group='^q')
    with pytest.raises(ConfigError, match='1 groups .* 2 parts: --group'):
        split_images(content, [0.5, 0.5], group='^p')


def test_writes_configs_that_build(tmp_path: Path, monkeypatch) -> None:
    """The files of a new set are read as any config, and its networks are built."""
    mmengine = pytest.importorskip('mmengine')
    from mmdet.registry import DATASETS, MODELS
    from mmengine.registry import init_default_scope

    monkeypatch.chdir(tmp_path)
    content = many(12, 4)
    put_images(tmp_path / 'photos', [image['file_name'] for image in content['images']])
    (tmp_path / 'all.json').write_text(json.dumps(content))
    export = read_export(Path('all.json'))
    pairs = splits_of(export, None, 0.25)
    made = make_new_set(
        'mine', pairs[0], (export, export), Path('data/mine'), Path('configs/mine'), 0.25
    )
    assert 'match' in ' '.join(made.notes)
    for file in (made.teacher, made.student):
        assert len(file.read_text().splitlines()) < 60
        config = mmengine.Config.fromfile(file)
        init_default_scope('mmdet')
        dataset = DATASETS.build(config.val_dataloader.dataset)
        assert len(dataset) == len(pairs[0][1]['images'])
        assert dataset.metainfo['classes'] == ('a', 'b', 'c') and dataset.metainfo['mpp'] == 0.25
        model = MODELS.build(config.model)
        assert model.bbox_head.num_classes == 3
    assert config.model.teacher.config == made.teacher.as_posix()
    with pytest.raises(ConfigError, match='exists'):
        make_new_set('mine', pairs[0], (export, export), Path('data/mine'), Path('configs/mine'))
    with pytest.raises(ConfigError, match='--name'):
        make_new_set('../x', pairs[0], (export, export), Path('a'), Path('b'))


def test_splits_of_refuses(tmp_path: Path) -> None:
    export = read_export(as_roboflow(tmp_path / 'set'))
    with pytest.raises(ConfigError, match='--val-share'):
        splits_of(export, None, 1.5)
    with pytest.raises(ConfigError, match='--folds'):
        splits_of(export, export, folds=3)
    assert splits_of(export, export)[0][0] is export.content


def test_validation_has_the_classes_of_training_in_their_order(tmp_path: Path) -> None:
    """Exports list the classes that occur: a validation set may lack some."""
    train = read_export(as_roboflow(tmp_path / 'train'))
    file = as_roboflow(tmp_path / 'val') / '_annotations.coco.json'
    content = coco()
    content['categories'] = [{'id': 5, 'name': 'dirt'}]
    content['annotations'] = [{**content['annotations'][2], 'category_id': 5}]
    file.write_text(json.dumps(content))
    val = read_export(file)
    _, placed = splits_of(train, val)[0]
    assert placed['categories'] == train.content['categories']
    assert [a['category_id'] for a in placed['annotations']] == [2]
    with pytest.raises(DatasetError, match=r'lacks \(cell\)'):
        splits_of(val, train)
