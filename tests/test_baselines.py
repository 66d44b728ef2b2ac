"""Every baseline on every data set: built, one training step, one prediction, on the CPU.

The widths are shrunk and the data are drawn; everything else is what the config says. The small
baselines on blood cells are what they are.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmdet.models.backbones import Darknet, EfficientNet
from mmdet.registry import DATASETS, MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401
from ldwsccd.config import check_classes
from ldwsccd_mmdet.datasets import CervicalCellDataset
from tests.narrow import shrink

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs'
ENDING = '_adamw_ccd'
FULL = {path.stem.removesuffix(ENDING): path for path in CONFIGS.glob(f'*/*{ENDING}.py')}
NAMES = sorted(FULL)
SMALL = [
    CONFIGS / 'ldwsccd/ssd256-narrow_bccd.py',
    CONFIGS / 'ldwsccd/ldwsccd_ssd256-narrow_bccd.py',
    *sorted(CONFIGS.glob('[cdefrsy]*/*_bccd.py')),
]
# as their authors train them: longer, and on images that are laid together or cropped
LONG = [path for kind in ('mosaic', 'crops') for path in CONFIGS.glob(f'*/*_bccd_{kind}.py')]
FROM_SSD = CONFIGS / 'dssd' / 'dssd256-narrow_bccd_from-ssd.py'
SHORT = {path.stem: path.with_name(f'{path.stem.rpartition("_")[0]}.py') for path in LONG}
BASES = CONFIGS / '_base_'
CLASSES = {
    'ccd': CervicalCellDataset.METAINFO['classes'],
    'cric': ('nilm', 'ascus', 'lsil', 'asch', 'hsil', 'scc'),
    'bccd': ('Platelets', 'RBC', 'WBC'),
}
SSD_FAMILY = (
    'ssd512_vgg16',
    'fssd512_vgg16',
    'dssd512_vgg16',
    'rssd512_vgg16',
    'dsod512',
    'ldwsccd_ssd512',
)
# the least that leaves SSD512 its seven levels; a multiple of 128 for CornerNet
SIZES = dict.fromkeys(SSD_FAMILY, 272) | {'ssd300_vgg16': 300}

register_all_modules(init_default_scope=False)


@pytest.fixture(autouse=True)
def _mmdet_scope(monkeypatch) -> None:
    init_default_scope('mmdet')
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope='module')
def data_roots(tmp_path_factory, make_tiny_coco):
    """A drawn set of each data set's classes: train.json, val.json and test.json."""
    roots = {}
    for data, classes in CLASSES.items():
        folder = tmp_path_factory.mktemp(data)
        for split in ('train', 'val', 'test'):
            roots[data] = make_tiny_coco(folder, split, size=(160, 120), classes=classes)
    return roots


def load(name: str, data: str, folder: Path) -> Config:
    """A config, or the leaf that differs from it in the name of its data base."""
    if data == 'ccd':
        return Config.fromfile(FULL[name])
    text = FULL[name].read_text(encoding='utf-8')
    text = text.replace('ccd_detection', f'{data}_detection').replace('../_base_', f'{BASES}')
    path = folder / f'{name}_{data}.py'
    path.write_text(text, encoding='utf-8')
    return Config.fromfile(path)


def innermost(dataset):
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


def resize(pipeline, size):
    for step in pipeline:
        for key in ('scale', 'img_scale', 'crop_size'):
            if key in step:
                step[key] = (size, size)


def use(cfg: Config, root: Path, size: int) -> None:
    """Read the drawn data at a small size."""
    for stage in ('train', 'val', 'test'):
        dataset = cfg[f'{stage}_dataloader'].dataset
        part = innermost(dataset)
        part.update(data_root=str(root), ann_file=f'{stage}.json', data_prefix=dict(img='images/'))
        for settings in {id(dataset): dataset, id(part): part}.values():
            resize(settings.pipeline, size)


def teach(model, data: str, folder: Path) -> None:
    """Give random weights to the narrow teacher of LD-WSCCD."""
    assert model.teacher.config == 'configs/retinanet/retinanet_r50-fpn_adamw_ccd.py'
    assert model.teacher.checkpoint == 'work_dirs/retinanet_r50-fpn_adamw_ccd/epoch_120.pth'
    teacher = load('retinanet_r50-fpn', data, folder).model
    shrink(teacher)
    give_weights(model, teacher, data, folder)


def give_weights(model, teacher, data: str, folder: Path) -> None:
    meta = dict(dataset_meta=dict(classes=CLASSES[data]))
    state = MODELS.build(teacher).state_dict()
    torch.save(dict(state_dict=state, meta=meta), folder / 'teacher.pth')
    model.teacher.update(config=dict(model=teacher), checkpoint=str(folder / 'teacher.pth'))


def step_and_predict(cfg: Config) -> None:
    model = MODELS.build(cfg.model)
    model.init_weights()
    optim_wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    model.train()
    # YOLOv2's change of image size asks the runner's log for the iteration
    MessageHub.get_current_instance().update_info('iter', 0)
    log = model.train_step(pseudo_collate([dataset[0], dataset[1]]), optim_wrapper)
    assert torch.isfinite(log['loss']), log
    assert [n for n, p in model.named_parameters() if not torch.isfinite(p).all()] == []
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    model.eval()
    with torch.no_grad():
        result = model.test_step(pseudo_collate([dataset[0]]))[0].pred_instances
    assert torch.isfinite(result.bboxes).all()
    assert (result.labels < len(dataset.metainfo['classes'])).all()


@pytest.mark.parametrize('data', CLASSES)
@pytest.mark.parametrize('name', NAMES)
def test_one_step_and_one_prediction(name, data, data_roots, tmp_path, monkeypatch):
    monkeypatch.setitem(
        Darknet.arch_settings,
        53,
        ((1, 1, 1, 1, 1), ((32, 16), (16, 16), (16, 16), (16, 32), (32, 64))),
    )
    monkeypatch.setitem(EfficientNet.arch_settings, 'b0', (0.25, 0.3, 224))
    cfg = load(name, data, tmp_path)
    check_classes(cfg, ['train', 'val', 'test'])
    assert cfg.num_classes == len(CLASSES[data])
    use(cfg, data_roots[data], SIZES.get(name, 128))
    shrink(cfg.model)
    if cfg.model.get('teacher'):
        teach(cfg.model, data, tmp_path)
    step_and_predict(cfg)


@pytest.mark.slow
@pytest.mark.parametrize('name', NAMES)
def test_full_size(name, data_roots, tmp_path):
    """At full width and image size, without pretrained weights."""
    cfg = load(name, 'ccd', tmp_path)
    use(cfg, data_roots['ccd'], cfg.resize.scale[0])
    cfg.model.backbone.init_cfg = None
    if cfg.model.get('teacher'):
        teach(cfg.model, 'ccd', tmp_path)
        cfg.model.distillation.teacher_channels = (16,) * 5
    step_and_predict(cfg)


def test_all_are_there():
    assert set(NAMES) == {
        'centernet_r18',
        'cornernet_hourglass104',
        'dsod512',
        'dssd512_vgg16',
        'efficientdet-d0',
        'fast-rcnn_r50-fpn',
        'faster-rcnn_r50-fpn',
        'fssd512_vgg16',
        'ldwsccd_ssd512',
        'retinanet_r50-fpn',
        'rssd512_vgg16',
        'rtmdet-s',
        'ssd300_vgg16',
        'ssd512_vgg16',
        'yolov1',
        'yolov2_d19',
        'yolov3_d53',
        'yolov4_csp-d53',
        'yolox-s',
    }


@pytest.mark.parametrize('data', CLASSES)
def test_data_schedule_and_metric_are_the_same(data, tmp_path):
    """A comparison means something only then; what differs is named here."""
    first = load('ssd512_vgg16', data, tmp_path)
    own_pipeline = {
        'yolov4_csp-d53': 'train',
        'ssd300_vgg16': 'train test',
        'yolov1': 'train test',
        'centernet_r18': 'test',
    }
    for name in NAMES:
        cfg = load(name, data, tmp_path)
        for key in (
            'train_cfg',
            'param_scheduler',
            'val_evaluator',
            'test_evaluator',
            'default_hooks',
            'randomness',
            'auto_scale_lr',
        ):
            assert cfg[key] == first[key], (name, key)
        wrapper = dict(cfg.optim_wrapper, optimizer=dict(cfg.optim_wrapper.optimizer, lr=0))
        expected = dict(first.optim_wrapper, optimizer=dict(first.optim_wrapper.optimizer, lr=0))
        assert wrapper == expected, name
        for stage in ('train', 'test'):
            loader, other = cfg[f'{stage}_dataloader'], first[f'{stage}_dataloader']
            assert loader.batch_size == other.batch_size
            part, expected = dict(innermost(loader.dataset)), dict(other.dataset)
            if stage in own_pipeline.get(name, '').split():
                del part['pipeline'], expected['pipeline']
            assert part == expected, (name, stage)


@pytest.mark.parametrize('path', [*SMALL, *LONG, FROM_SSD], ids=lambda path: path.stem)
def test_small_form(path, data_roots, tmp_path):
    """At its own width and by --amp; from scratch: the pretrained weights may not be there."""
    cfg = Config.fromfile(path)
    cfg.optim_wrapper.update(type='CPUAmpOptimWrapper', dtype='bfloat16')
    check_classes(cfg, ['train', 'val', 'test'])
    use(cfg, data_roots['bccd'], 128)
    if path.stem.startswith('yolov1'):  # its connected layer fits one image size
        cfg.model.bbox_head.side = 4
    cfg.model.backbone.init_cfg = None
    if cfg.model.get('teacher'):
        teacher = Config.fromfile(cfg.model.teacher.config).model
        teacher.backbone.init_cfg = None
        give_weights(cfg.model, teacher, 'bccd', tmp_path)
    step_and_predict(cfg)


def test_pretrained_mobilenets_learn_slowly():
    """At the rate of new layers their deepest maps died (docs/results.md)."""
    paths = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    configs = {path.stem: Config.fromfile(path) for path in paths}
    found = {n: c for n, c in configs.items() if c.model.backbone.type == 'MobileNetV2'}
    # three teachers, eight with image labels, eight baselines, two stages of R-CNN and of SPP-Net
    assert len(found) == 23
    for name, cfg in found.items():
        rates = cfg.optim_wrapper.paramwise_cfg.custom_keys
        assert rates == dict(backbone=dict(lr_mult=0.1)), name


def test_small_forms_see_the_same():
    """Data, length and metric; what differs is named here."""
    first = Config.fromfile(SMALL[0])
    for path in SMALL:
        cfg = Config.fromfile(path)
        for key in (
            'train_dataloader',
            'train_cfg',
            'param_scheduler',
            'val_evaluator',
            'test_evaluator',
            'randomness',
        ):
            assert cfg[key] == first[key], (path.stem, key)
        wrapper = cfg.optim_wrapper
        wrapper.optimizer.lr = first.optim_wrapper.optimizer.lr
        if path.stem.startswith('rtmdet'):
            assert wrapper.paramwise_cfg.pop('bypass_duplicate')
        if cfg.model.backbone.type == 'MobileNetV2':  # pretrained: see the test above
            del wrapper.paramwise_cfg['custom_keys']
        assert wrapper == first.optim_wrapper, path.stem
        if not path.stem.startswith('centernet'):  # its head wants one more step
            assert cfg.test_dataloader == first.test_dataloader, path.stem


def test_dssd_starts_from_the_ssd_that_its_config_names():
    """All of the SSD but its classifier, whose maps are others."""
    cfg = Config.fromfile(FROM_SSD)
    _, name, file = Path(cfg.load_from).parts
    ssd = Config.fromfile(CONFIGS / 'ldwsccd' / f'{name}.py')
    assert file == f'epoch_{ssd.train_cfg.max_epochs}.pth'
    detector, trained = (MODELS.build(of.model) for of in (cfg, ssd))
    weights = {
        key: value
        for key, value in trained.state_dict().items()
        if not key.startswith('bbox_head.')
    }
    assert detector.load_state_dict(weights, strict=False).unexpected_keys == []


@pytest.mark.parametrize('path', LONG, ids=lambda path: path.stem)
def test_a_longer_training_changes_what_the_model_sees_alone(path):
    """The model is that of the short one, and so are its data at test."""
    cfg, short = (Config.fromfile(f) for f in (path, SHORT[path.stem]))
    for key in ('model', 'optim_wrapper', 'val_dataloader', 'test_dataloader', 'test_evaluator'):
        assert cfg[key] == short[key], key
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].T_max == 60
    assert (
        innermost(cfg.train_dataloader.dataset).ann_file == short.train_dataloader.dataset.ann_file
    )
    ends = [hook.switch_epoch for hook in cfg.custom_hooks if 'switch_epoch' in hook]
    assert all(epoch < cfg.train_cfg.max_epochs for epoch in ends)
