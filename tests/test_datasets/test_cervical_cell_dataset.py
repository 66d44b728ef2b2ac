"""The data set: what it reads, what it drops with a warning, what it refuses."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from PIL import Image

from ldwsccd_mmdet.datasets import CervicalCellDataset, cervical_cell_dataset
from ldwsccd_mmdet.datasets.bag_audit import by_image_labels
from ldwsccd_mmdet.errors import ConfigError, DatasetError, ImageFileError
from ldwsccd_mmdet.models.detectors.supervision import Supervision

CLASSES = ('lsil', 'hsil', 'scc')
CRIC = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'cric'

Maker = Callable[..., Path]


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(cervical_cell_dataset, '_warn', said.append)
    return said


def load(root: Path, **kwargs) -> CervicalCellDataset:
    settings = {
        'data_root': str(root),
        'ann_file': 'train.json',
        'data_prefix': {'img': 'images'},
        'metainfo': {'classes': CLASSES},
        'filter_cfg': {'filter_empty_gt': False},
    }
    return CervicalCellDataset(**{**settings, **kwargs})


def num_boxes(dataset: CervicalCellDataset) -> int:
    return sum(len(dataset.get_data_info(i)['instances']) for i in range(len(dataset)))


def test_reads_boxes_and_classes(tiny_coco: Maker, warnings: list[str]) -> None:
    root = tiny_coco(num_images=3, boxes_per_image=2)
    dataset = load(root)
    content = json.loads((root / 'train.json').read_text())
    assert len(dataset) == 3 and num_boxes(dataset) == 6 and warnings == []
    x, y, w, h = content['annotations'][0]['bbox']
    instance = dataset.get_data_info(0)['instances'][0]
    assert instance['bbox'] == [x, y, x + w, y + h]
    assert instance['bbox_label'] == content['annotations'][0]['category_id'] - 1
    assert 'image_labels' not in dataset.get_data_info(0)


def test_metainfo_names_and_colours() -> None:
    meta = CervicalCellDataset.METAINFO
    assert meta['classes'] == (
        'ascus',
        'asch',
        'lsil',
        'hsil',
        'scc',
        'agc',
        'trichomonas',
        'candida',
        'flora',
        'herps',
        'actinomyces',
    )
    assert len(set(meta['palette'])) == 11
    assert set(meta['classes']) <= set(CervicalCellDataset.FULL_NAMES)
    assert DATASETS.get('CervicalCellDataset') is CervicalCellDataset


def test_known_classes_keep_their_colour(tiny_coco: Maker) -> None:
    paper = CervicalCellDataset.METAINFO
    known = dict(zip(paper['classes'], paper['palette'], strict=True))
    classes = ('nilm', 'scc', 'polyp')
    meta = load(tiny_coco(classes=classes), metainfo={'classes': classes}).metainfo
    assert meta['palette'][1] == known['scc'] and len(set(meta['palette'])) == 3
    many = tuple(f'class {i}' for i in range(20))
    meta = load(tiny_coco('many', classes=many), ann_file='many.json', metainfo={'classes': many})
    assert len(meta.metainfo['palette']) == 20


@pytest.mark.parametrize(
    ('bbox', 'kind'),
    [
        ([10, 10, 0, 5], 'of no area'),
        ([10, 10, 5, 0.5], 'of no area'),
        ([10, 10, -5, 5], 'of negative size'),
        ([96, 10, 5, 5], 'outside'),
        ([-20, 10, 20, 5], 'outside'),
        ([10, 64, 5, 5], 'outside'),
        ([math.nan, 10, 5, 5], 'finite'),
        ([10, 10, math.inf, 5], 'finite'),
        ([10, 10, 5], 'finite'),
        ([10, 10, None, 5], 'finite'),
    ],
)
def test_drops_a_bad_box_with_one_warning(
    tiny_coco: Maker, warnings: list[str], bbox: list, kind: str
) -> None:
    def edit(content: dict) -> None:
        for annotation in content['annotations'][:2]:
            annotation['bbox'] = bbox

    dataset = load(tiny_coco(num_images=2, boxes_per_image=2, edit=edit))
    assert len(dataset) == 2 and num_boxes(dataset) == 2
    assert len(warnings) == 1
    assert 'dropped 2 boxes' in warnings[0] and kind in warnings[0] and 'ids 1, 2' in warnings[0]


def test_warning_counts_by_kind_and_lists_the_first_ids(
    tiny_coco: Maker, warnings: list[str]
) -> None:
    def edit(content: dict) -> None:
        for annotation in content['annotations'][:12]:
            annotation['bbox'][2] = 0
        content['annotations'][12]['bbox'][0] = 500

    load(tiny_coco(num_images=10, edit=edit))
    assert len(warnings) == 1 and 'dropped 13 boxes' in warnings[0]
    assert '12 of no area' in warnings[0] and '1 outside' in warnings[0]
    assert '10, ...' in warnings[0] and '11' not in warnings[0].split('ids')[1]


def test_keeps_a_box_partly_outside(tiny_coco: Maker, warnings: list[str]) -> None:
    def edit(content: dict) -> None:
        content['annotations'][0]['bbox'] = [-5, -5, 20, 20]

    dataset = load(tiny_coco(edit=edit))
    assert dataset.get_data_info(0)['instances'][0]['bbox'] == [-5, -5, 15, 15]
    assert warnings == []


def test_box_without_area_key(tiny_coco: Maker, warnings: list[str]) -> None:
    def edit(content: dict) -> None:
        for annotation in content['annotations']:
            del annotation['area'], annotation['iscrowd']

    assert num_boxes(load(tiny_coco(num_images=2, boxes_per_image=2, edit=edit))) == 4


def test_image_without_boxes_stays(tiny_coco: Maker) -> None:
    def edit(content: dict) -> None:
        content['annotations'] = content['annotations'][:1]

    root = tiny_coco(num_images=3, boxes_per_image=1, edit=edit)
    assert len(load(root)) == 3
    assert len(load(root, filter_cfg={'filter_empty_gt': True})) == 1
    with pytest.raises(DatasetError, match=r'no image .*3 in the file.*min_size'):
        load(root, filter_cfg={'min_size': 1000})


def test_boxes_of_other_classes_are_counted(tiny_coco: Maker, warnings: list[str]) -> None:
    def edit(content: dict) -> None:
        for index, annotation in enumerate(content['annotations']):
            annotation['category_id'] = (1, 2, 2, 9)[index]

    dataset = load(
        tiny_coco(num_images=2, boxes_per_image=2, edit=edit), metainfo={'classes': ('lsil', 'scc')}
    )
    assert num_boxes(dataset) == 1 and len(warnings) == 1
    assert 'hsil (2)' in warnings[0] and 'category_id 9' in warnings[0]


def test_boxes_of_no_image_are_counted(tiny_coco: Maker, warnings: list[str]) -> None:
    def edit(content: dict) -> None:
        content['annotations'][3]['image_id'] = 77

    load(tiny_coco(edit=edit))
    assert len(warnings) == 1 and '1 boxes belong to no image' in warnings[0]


@pytest.mark.parametrize(
    ('label', 'expected'),
    [
        ({'image_labels': ['scc', 'lsil', 'scc']}, (0, 2)),
        ({'image_label': 'hsil'}, (1,)),
        ({'image_labels': []}, ()),
        ({'image_labels': ['nilm']}, ()),
    ],
)
def test_image_labels(
    tiny_coco: Maker, warnings: list[str], label: dict, expected: tuple[int, ...]
) -> None:
    root = tiny_coco(edit=lambda content: content['images'][0].update(label))
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmdet.VerifyImage'},
        {'type': 'mmdet.LoadAnnotations', 'with_bbox': True},
        {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'image_labels')},
    ]
    dataset = load(root, pipeline=pipeline)
    assert dataset[0]['data_samples'].image_labels == expected
    assert 'image_labels' not in dataset[1]['data_samples']
    assert len(warnings) == ('nilm' in label.get('image_labels', ()))


def test_supervision_reaches_the_model(tiny_coco: Maker) -> None:
    def edit(content: dict) -> None:
        content['images'][0].update(supervision='image', image_labels=['scc'])
        content['images'][1].update(supervision='box')

    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmdet.VerifyImage'},
        {'type': 'mmdet.LoadAnnotations', 'with_bbox': True},
        {'type': 'mmdet.PackDetInputs', 'meta_keys': ('img_id', 'image_labels', 'supervision')},
    ]
    samples = [item['data_samples'] for item in load(tiny_coco(edit=edit), pipeline=pipeline)]
    assert [sample.get('supervision') for sample in samples] == ['image', 'box', None, None]
    assert samples[0].image_labels == (2,)


def write_mined(root: Path, **record: object) -> str:
    """The boxes of the set as ``mined.json`` beside it, of its second image alone, moved."""
    content = json.loads((root / 'train.json').read_text())
    boxes = [box for box in content['annotations'] if box['image_id'] == 2]
    found = [{**box, 'bbox': [1, 1, 6, 6], 'prob': 0.7, **record} for box in boxes[:1]]
    (root / 'mined.json').write_text(json.dumps({**content, 'annotations': found}))
    return 'mined.json'


def test_mined_boxes_come_beside_the_others_with_their_doubt(tiny_coco: Maker) -> None:
    root = tiny_coco(boxes_per_image=2)
    pipeline = [
        {'type': 'LoadImageFromFile'},
        {'type': 'mmdet.LoadCellAnnotations', 'with_bbox': True},
        {'type': 'mmdet.PackCellInputs'},
    ]
    mined = write_mined(root)
    samples = [item['data_samples'] for item in load(root, mined_file=mined, pipeline=pipeline)]
    assert [len(sample.gt_instances) for sample in samples] == [2, 3, 2, 2]
    found = samples[1].gt_instances
    assert found.bboxes.tensor[2].tolist() == [1, 1, 7, 7]
    assert found.probs.tolist() == pytest.approx([1, 1, 0.7])


@pytest.mark.parametrize(
    ('record', 'match'),
    [
        ({'prob': 1.0}, r'has prob 1\.0: expected a number between 0 and 1'),
        ({'prob': None}, 'has prob None'),
        ({'prob': 'no'}, "has prob 'no'"),
    ],
)
def test_refuses_bad_probabilities_of_mined_boxes(
    tiny_coco: Maker, record: dict, match: str
) -> None:
    root = tiny_coco(boxes_per_image=2)
    with pytest.raises(DatasetError, match=match):
        load(root, mined_file=write_mined(root, **record))


def test_filter_empty_gt_keeps_images_of_image_labels(tiny_coco: Maker) -> None:
    def edit(content: dict) -> None:
        content['images'][0].update(supervision='image', image_labels=['scc'])
        content['images'][1].update(supervision='image', image_labels=[])
        content['images'][2].update(supervision='box')
        content['annotations'] = [a for a in content['annotations'] if a['image_id'] == 4]

    dataset = load(tiny_coco(edit=edit), filter_cfg={'filter_empty_gt': True})
    assert [dataset.get_data_info(i)['img_id'] for i in range(len(dataset))] == [1, 2, 4]


@pytest.mark.parametrize(
    ('record', 'match'),
    [
        ({'supervision': 'boxes', 'image_labels': []}, "'boxes': expected 'box' or 'image'"),
        ({'supervision': 'image'}, 'no image_labels'),
    ],
)
def test_refuses_bad_supervision(tiny_coco: Maker, record: dict, match: str) -> None:
    with pytest.raises(DatasetError, match=match):
        load(tiny_coco(edit=lambda content: content['images'][0].update(record)))


@pytest.mark.parametrize('classes', [(), None, ('lsil'), 'lsil', ('lsil', 'lsil')])
def test_refuses_bad_classes(tiny_coco: Maker, classes: object) -> None:
    with pytest.raises(DatasetError, match='metainfo.classes'):
        load(tiny_coco(), metainfo={'classes': classes})


def test_refuses_class_names_that_do_not_match(tiny_coco: Maker) -> None:
    with pytest.raises(DatasetError) as error:
        load(tiny_coco(), metainfo={'classes': ('LSIL', 'hsil', 'scc')})
    asked, in_file = '(LSIL, hsil, scc)', '(lsil, hsil, scc)'
    for part in ('classes LSIL are not', asked, in_file, 'train.json', 'set metainfo'):
        assert part in str(error.value)


def test_labels_are_places_in_the_classes_whatever_the_order_of_the_file(tiny_coco: Maker) -> None:
    root = tiny_coco()
    names = [c['name'] for c in json.loads((root / 'train.json').read_text())['categories']]
    plain = load(root)
    other = load(root, metainfo={'classes': ('hsil', 'scc', 'lsil')})
    for index in range(len(plain)):
        rows = zip(
            plain.get_data_info(index)['instances'],
            other.get_data_info(index)['instances'],
            strict=True,
        )
        for one, two in rows:
            assert other.metainfo['classes'][two['bbox_label']] == names[one['bbox_label']]


def test_ids_of_classes_may_have_gaps(tiny_coco: Maker, warnings: list[str]) -> None:
    labels: list[int] = []

    def edit(content: dict) -> None:
        labels.extend(a['category_id'] - 1 for a in content['annotations'])
        for record in (*content['categories'], *content['annotations']):
            key = 'category_id' if 'category_id' in record else 'id'
            record[key] = (3, 17, 90)[record[key] - 1]

    dataset = load(tiny_coco(edit=edit))
    infos = [dataset.get_data_info(i)['instances'] for i in range(len(dataset))]
    assert [i['bbox_label'] for info in infos for i in info] == labels and warnings == []


def test_names_the_folder_if_every_image_is_missing(tiny_coco: Maker) -> None:
    root = tiny_coco(num_images=12)
    with pytest.raises(DatasetError, match='12 of the 12 images.*train_3.jpg, ...; put them'):
        load(root, data_prefix={'img': 'pictures'})


def test_refuses_missing_images(tiny_coco: Maker) -> None:
    root = tiny_coco(num_images=12)
    for number in range(1, 12):
        (root / 'images' / f'train_{number}.jpg').unlink()
    with pytest.raises(DatasetError) as error:
        load(root)
    message = str(error.value)
    assert '11 of the 12 images' in message and 'data_prefix' in message
    for number in range(1, 12):
        assert f'train_{number}.jpg' in message
    assert len(load(root, check_images=False)) == 12


@pytest.mark.parametrize(
    ('content', 'match'),
    [
        ('{"images": [', 'not JSON'),
        ('[]', "no list 'images'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', r'images\[0\] lacks'),
        (
            '{"images": [], "annotations": [], '
            '"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            '1 ids occur twice in categories',
        ),
        (
            '{"images": [], "annotations": [], '
            '"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}',
            '1 names occur twice in categories',
        ),
        ('{"images": [7], "annotations": [], "categories": []}', r'images\[0\] lacks'),
        (
            '{"images": [{"id": 1, "file_name": "a", "width": 0, "height": 5}], "annotations": [], '
            '"categories": []}',
            'width or height',
        ),
    ],
)
def test_refuses_a_file_that_is_not_coco(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / 'train.json').write_text(content)
    with pytest.raises(DatasetError, match=match):
        load(tmp_path)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"train\.json' does not exist: check data_root"):
        load(tmp_path)


def test_keeps_after_pickling(tiny_coco: Maker) -> None:
    """A worker process started by `spawn` gets the data set pickled."""
    import pickle

    dataset = pickle.loads(pickle.dumps(load(tiny_coco(num_images=2))))
    assert len(dataset) == 2


def with_labels(*names: object) -> Callable[[dict], None]:
    def edit(content: dict) -> None:
        content['annotations'] = []
        for image in content['images']:
            image['image_labels'] = list(names)

    return edit


@pytest.mark.parametrize(
    ('edit', 'match'),
    [
        (lambda c: c.update(annotations=[]), 'has no box and no image label'),
        (lambda c: [a.update(iscrowd=1) for a in c['annotations']], 'marked iscrowd.*set iscrowd'),
        (lambda c: [a.update(image_id='x') for a in c['annotations']], 'belong to no image'),
        (with_labels('LSIL'), 'left out image labels of classes not asked for: LSIL'),
        (with_labels(['lsil']), 'expected a list of class names'),
        (with_labels({'name': 'lsil'}), 'expected a list of class names'),
    ],
)
@pytest.mark.parametrize('test_mode', [False, True])
def test_no_label_left_is_an_error(
    tiny_coco: Maker, edit: Callable, match: str, test_mode: bool
) -> None:
    with pytest.raises(DatasetError, match=match) as error:
        load(tiny_coco(edit=edit), test_mode=test_mode)
    assert '\n' not in str(error.value)


def test_misspelt_image_labels_beside_boxes(tiny_coco: Maker) -> None:
    with pytest.raises(DatasetError, match="no image label .*'LSIL' is spelt 'lsil' there"):
        load(tiny_coco(edit=lambda c: [i.update(image_labels=['LSIL']) for i in c['images']]))


def test_more_than_a_tenth_is_said_loudly(tiny_coco: Maker, warnings: list[str]) -> None:
    for count, loud in ((1, False), (3, True)):
        name = f'lost{count}'

        def edit(content: dict, count: int = count) -> None:
            for annotation in content['annotations'][:count]:
                annotation['bbox'][2] = 0

        warnings.clear()
        load(tiny_coco(name, num_images=10, edit=edit), ann_file=f'{name}.json')
        assert len(warnings) == 1 and warnings[0].startswith('LABELS ARE LOST') == loud


@pytest.mark.parametrize(
    ('edit', 'match'),
    [
        (lambda i: i.update(width=64, height=96), 'is 96 x 64 px, the file says 64 x 96 .*exchang'),
        (lambda i: i.update(width=192, height=128), '0.5 times as large: a copy of another size'),
        (lambda i: i.update(width=96, height=96), 'another picture'),
    ],
)
def test_frame_of_boxes_and_image(tiny_coco: Maker, edit: Callable, match: str) -> None:
    root = tiny_coco(edit=lambda content: edit(content['images'][2]))
    with pytest.raises(DatasetError, match=match) as error:
        load(root)
    assert '1 of 4 images' in str(error.value) and 'train_3.jpg' in str(error.value)
    assert len(load(root, check_images=False)) == 4


def test_images_of_which_less_is_read_than_they_hold(tiny_coco: Maker, warnings: list[str]) -> None:
    """12 bits in 16, and a stack of planes: said before a training, as by doctor and predict."""
    root = tiny_coco(num_images=3)
    names = sorted((root / 'images').iterdir())
    cv2.imwrite(str(names[0].with_suffix('.png')), np.full((64, 96), 4000, np.uint16))
    names[0].with_suffix('.png').rename(names[0])
    planes = [Image.new('L', (96, 64), shade) for shade in (9, 99)]
    planes[0].save(names[1], 'TIFF', save_all=True, append_images=planes[1:])
    load(root)
    (warning,) = warnings
    assert '1 images of 16 bits that use 12 or fewer' in warning
    assert '1 images of several pages, of which only the first is read' in warning


def test_images_named_by_addresses(tiny_coco: Maker) -> None:
    """As Roboflow's and Label Studio's servers name them."""
    root = tiny_coco(
        edit=lambda c: [i.update(file_name=f'https://x.org/{i["file_name"]}') for i in c['images']]
    )
    with pytest.raises(DatasetError, match=r'no file backend .* name files relative to data_root'):
        load(root)


def test_raw_frame_of_a_turned_picture(tiny_coco: Maker) -> None:
    root = tiny_coco()
    path = root / 'images' / 'train_1.jpg'
    tags = Image.Exif()
    tags[0x0112] = 6
    Image.open(path).save(path, exif=tags)
    with pytest.raises(DatasetError, match='is 64 x 96 px, the file says 96 x 64.*orientation tag'):
        load(root)


def test_near_names_of_images_are_found(tiny_coco: Maker, warnings: list[str]) -> None:
    def edit(content: dict) -> None:
        content['images'][0]['file_name'] = 'TRAIN_1.JPG'
        content['images'][1]['file_name'] = '.\\train_2.jpeg'

    dataset = load(tiny_coco(edit=edit))
    paths = [Path(dataset.get_data_info(i)['img_path']).name for i in range(4)]
    assert paths == [f'train_{i}.jpg' for i in (1, 2, 3, 4)]
    assert len(warnings) == 1 and '2 images lie there under a near name' in warnings[0]


def test_a_test_set_may_lack_a_class(tiny_coco: Maker, warnings: list[str]) -> None:
    classes = (*CLASSES, 'agc')
    root = tiny_coco()
    dataset = load(root, metainfo={'classes': classes}, test_mode=True)
    assert num_boxes(dataset) == 8 and "has no category ('agc',)" in warnings[0]
    with pytest.raises(
        DatasetError, match=r'add it to its categories, as {"id": 4, "name": "agc"}'
    ):
        load(root, metainfo={'classes': classes})
    with pytest.raises(DatasetError, match='agc, asch are not'):
        load(root, metainfo={'classes': ('lsil', 'agc', 'asch')}, test_mode=True)


@pytest.mark.parametrize(
    ('record', 'crowd', 'expected'),
    [
        ({}, False, None),
        ({'image_labels': ['scc']}, False, 'box'),
        ({'image_labels': ['scc']}, True, 'image'),
        ({'image_labels': []}, True, 'box'),
        ({'image_labels': ['scc'], 'supervision': 'box'}, True, 'image'),
        ({'image_labels': ['scc'], 'supervision': 'image'}, False, 'image'),
    ],
)
def test_who_teaches_is_decided_once(
    tiny_coco: Maker, record: dict, crowd: bool, expected: str | None
) -> None:
    """A crowd box teaches nothing; what a crop leaves of the boxes has no say."""

    def edit(content: dict) -> None:
        content['images'][0].update(record)
        for annotation in content['annotations'][:2]:
            annotation['iscrowd'] = int(crowd)

    info = load(tiny_coco(edit=edit)).get_data_info(0)
    assert info.get('supervision') == expected
    assert by_image_labels(info) == (expected == 'image')
    sample = DetDataSample(metainfo={k: v for k, v in info.items() if k != 'instances'})
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4))  # cropped away
    assert Supervision('mixed').by_image_labels(sample) == by_image_labels(info)


@pytest.mark.skipif(not CRIC.is_dir(), reason='needs ../shared/data/cric, which is not here')
def test_reads_cric(warnings: list[str]) -> None:
    classes = ('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc')
    dataset = load(CRIC, metainfo={'classes': classes}, ann_file='train.json')
    labels = [dataset.get_data_info(i)['image_labels'] for i in range(len(dataset))]
    assert (len(dataset), num_boxes(dataset)) == (136, 3300) and warnings == []
    assert np.unique(np.concatenate(labels)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    'content', [b'', b'no image', b'version https://git-lfs.github.com/spec/v1']
)
def test_names_a_file_that_is_no_image(tiny_coco: Maker, content: bytes) -> None:
    root = tiny_coco(num_images=2)
    (root / 'images' / 'train_1.jpg').write_bytes(content)
    dataset = load(root, pipeline=[{'type': 'LoadImageFromFile'}])
    with pytest.raises(ImageFileError, match=r"train_1\.jpg' \(.* is not an image .* copy"):
        dataset[0]
    assert dataset[1]['img'].shape == (64, 96, 3)
    (root / 'images' / 'train_2.jpg').unlink()
    with pytest.raises(ImageFileError, match=r"train_2\.jpg' cannot be read"):
        dataset[1]


def test_leaves_other_faults_of_a_pipeline_alone(tiny_coco: Maker) -> None:
    def fail(results: dict) -> dict:
        raise AssertionError('of a transform')

    dataset = load(tiny_coco(), pipeline=[{'type': 'LoadImageFromFile'}, fail])
    with pytest.raises(AssertionError, match='of a transform'):
        dataset[0]


def test_folds_of_one_file(tiny_coco: Maker) -> None:
    """Parts that share no image, hold every class, and are all of the set together."""
    root = tiny_coco(num_images=12, boxes_per_image=4)

    def names(**fold) -> set[str]:
        data = load(root, fold=fold)
        infos = [data.get_data_info(i) for i in range(len(data))]
        assert {b['bbox_label'] for info in infos for b in info['instances']} == {0, 1, 2}
        return {Path(info['img_path']).name for info in infos}

    parts = [names(of=3, only=number) for number in range(3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12
    for number, part in enumerate(parts):
        assert names(of=3, leave_out=number) == set.union(*parts) - part
    # patients by the first digit: 1, 10, 11 and 12 are of one
    for number in range(3):
        part = names(of=3, only=number, group=r'train_(\d)')
        assert len(part & {f'train_{i}.jpg' for i in (1, 10, 11, 12)}) in (0, 4)


@pytest.mark.parametrize(
    ('fold', 'text'),
    [
        (dict(of=1, only=0), 'fold.of: expected a whole number of at least 2'),
        (dict(of=4), 'one of leave_out and only'),
        (dict(of=4, only=1, leave_out=1), 'one of leave_out and only'),
        (dict(of=4, only=4), 'a part from 0 to 3'),
    ],
)
def test_folds_that_cannot_be_meant(tiny_coco: Maker, fold: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        load(tiny_coco(), fold=fold)
