"""Every shipped config is built and takes one training step and one prediction on the CPU.

Those of the full width are made narrow, but for the paper's own: `make test-slow` has all as they
are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.registry import init_default_scope

import ldwsccd_mmdet  # noqa: F401
from tests.narrow import shrink
from tests.test_models.helpers import sample

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / 'configs').rglob('*.py')
    # those of the baselines have tests of their own: tests/test_baselines.py
    if path.parent.name.startswith(('configs', 'teachers', 'ldwsccd'))
    and not path.stem.endswith('_adamw_ccd')
    # the paper's config but for its data: test_a_held_out_part_of_train_chooses_the_checkpoint
    and not path.stem.endswith('_held-out_ccd')
)
PAPER = 'configs/ldwsccd_ssd512.py'
FULL_WIDTH = [path for path in CONFIGS if '512' in path or '_r18-' in path or '_r50-' in path]
FULL_WIDTH = [path for path in FULL_WIDTH if 'narrow' not in path and path != PAPER]

register_all_modules(init_default_scope=False)


@pytest.fixture(autouse=True)
def _mmdet_scope() -> None:
    """Other tests' runners leave scopes of their own behind."""
    init_default_scope('mmdet')


def load(path: str | Path) -> Config:
    cfg = Config.fromfile(ROOT / path)
    for part in ('backbone', 'neck', 'bbox_head'):
        if cfg.model.get(part):
            init_cfg = cfg.model[part].get('init_cfg')
            if init_cfg and init_cfg.get('type') == 'Pretrained':
                cfg.model[part].init_cfg = None  # no network in a test
    return cfg


@pytest.fixture(scope='module')
def teacher_of(tmp_path_factory: pytest.TempPathFactory):
    """What ``model.teacher`` takes: the teacher that a config names, with random weights."""
    made: dict[tuple[str, bool], dict] = {}

    def make(config: str, narrow: bool) -> dict:
        if (config, narrow) not in made:
            model = load(config).model
            if narrow:
                shrink(model)
            file = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
            torch.save(dict(state_dict=MODELS.build(copy.deepcopy(model)).state_dict()), file)
            made[config, narrow] = dict(config=dict(model=model), checkpoint=str(file))
        return made[config, narrow]

    return make


def test_the_issue_s_configs_are_there():
    assert {
        'configs/ldwsccd_ssd512.py',
        'configs/teachers/retinanet_r50-fpn_ccd.py',
        'configs/ldwsccd/ssd512_ccd.py',
        'configs/ldwsccd/ssd512_ldm_ccd.py',
        'configs/ldwsccd/ssd512_mil_ccd.py',
        'configs/teachers/teacher_mobilenetv2-fpn_cric.py',
        'configs/ldwsccd/ldwsccd_ssd512-narrow_cric.py',
        'configs/ldwsccd/ssd512-narrow_cric.py',
        'configs/ldwsccd/ssd512-narrow_ldm_cric.py',
        'configs/ldwsccd/ssd512-narrow_mil_cric.py',
    } <= set(CONFIGS)


def test_every_leaf_has_fewer_than_twenty_lines():
    """What is longer is put together from configs/_base_/parts."""
    leaves = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    lines = {str(path): len(path.read_text('utf-8').splitlines()) for path in leaves}
    assert len(lines) > 80
    assert {name: number for name, number in lines.items() if number >= 20} == {}


def side_of(cfg: Config) -> int:
    """The least image that leaves SSD512 its seven levels; 128 px do for the others."""
    levels = (cfg.model.get('bbox_head') or {}).get('in_channels')
    return 272 if isinstance(levels, Sequence) and len(levels) == 7 else 128


def one_step_and_one_prediction(path: str, teacher_of: Callable[..., dict], narrow: bool) -> None:
    cfg = load(path)
    # the config must say how many classes its data has
    classes = cfg.train_dataloader.dataset.get('metainfo', {}).get('classes')
    num_classes = (cfg.model.get('bbox_head') or cfg.model.roi_head.bbox_head).num_classes
    assert num_classes == (11 if classes is None else len(classes))
    side = side_of(cfg)
    if narrow:
        shrink(cfg.model)
    if cfg.model.get('teacher'):
        cfg.model.teacher.update(teacher_of(cfg.model.teacher.config, narrow))
    model = MODELS.build(copy.deepcopy(cfg.model))
    for part in ('backbone', 'neck', 'bbox_head', 'rpn_head', 'roi_head'):
        if hasattr(model, part):
            getattr(model, part).init_weights()
    model.train()
    boxes = [[side / 9, side / 9, side / 4, side / 4], [side / 3, side / 3, side * 0.8, side * 0.7]]
    batch = [sample(boxes, [0, num_classes - 1], (side, side)), sample([], [], (side, side))]
    if (cfg.model.get('supervision') or {}).get('regime', 'box') != 'box':
        for each in batch:
            each.set_metainfo(dict(image_labels=[0, num_classes - 1]))
    x = torch.randn(2, 3, side, side)
    losses = model.loss(x, batch)
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    if cfg.model.type.startswith('LDWSCCD'):
        assert ('loss_distill_fg' in losses) == bool(cfg.model.get('teacher'))
        assert ('loss_mil' in losses) == bool(cfg.model.get('mil_head'))
    model.eval()
    with torch.no_grad():
        result = model.predict(x[:1], batch[:1])[0].pred_instances
    assert torch.isfinite(result.bboxes).all()


@pytest.mark.parametrize('path', CONFIGS)
def test_one_step_and_one_prediction(path, teacher_of, monkeypatch):
    monkeypatch.chdir(ROOT)
    one_step_and_one_prediction(path, teacher_of, narrow=path in FULL_WIDTH)


@pytest.mark.slow
@pytest.mark.parametrize('path', FULL_WIDTH)
def test_one_step_and_one_prediction_at_full_width(path, teacher_of, monkeypatch):
    monkeypatch.chdir(ROOT)
    one_step_and_one_prediction(path, teacher_of, narrow=False)


@pytest.mark.parametrize('path', FULL_WIDTH)
def test_full_width_fits_together(path, monkeypatch):
    """Shapes alone: the maps of the student and of its teacher, and what joins them."""
    monkeypatch.chdir(ROOT)
    for name in ('kaiming_normal_', 'kaiming_uniform_'):  # weights are not looked at
        monkeypatch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
    cfg = load(path)
    alone = {key: part for key, part in cfg.model.items() if key not in ('teacher', 'distillation')}
    student = MODELS.build(alone).to('meta')
    maps = channels_of(student)
    if cfg.model.get('mil_head'):
        assert student.mil_head.bbox_roi_extractor.out_channels == maps[0]
    if cfg.model.get('teacher'):
        taught = channels_of(MODELS.build(load(cfg.model.teacher.config).model).to('meta'))
        joined = cfg.model.distillation
        for have, want in ((maps, joined.student_channels), (taught, joined.teacher_channels)):
            assert have[: len(want)] == list(want)


def channels_of(model: torch.nn.Module) -> list[int]:
    """Those of the maps, after the first head has looked at them."""
    maps = model.extract_feat(torch.empty(1, 3, 512, 512, device='meta'))
    (model.rpn_head if hasattr(model, 'rpn_head') else model.bbox_head)(maps)
    return [level.shape[1] for level in maps]


def test_a_teacher_s_scores_teach_on_each_of_its_levels() -> None:
    models = {path: load(path).model for path in CONFIGS}
    taught = {path: model for path, model in models.items() if model.get('logit_distillation')}
    assert len(taught) == 4  # CRIC and composed scenes, each with and without the MIL head
    for path, model in taught.items():
        teacher = Config.fromfile(ROOT / model.teacher.config).model
        ours, theirs = (
            TASK_UTILS.build(of.bbox_head.anchor_generator).base_anchors for of in (model, teacher)
        )
        for level, priors in enumerate(theirs):
            torch.testing.assert_close(ours[level], priors, msg=f'{path}, level {level}')


def test_table_4_differs_only_in_its_parts():
    """Same student, data and schedule in all four rows: else the gains mean nothing."""
    folder = ROOT / 'configs/ldwsccd'
    for full, student, data in (
        ('../ldwsccd_ssd512', 'ssd512', 'ccd'),
        ('ldwsccd_ssd512-narrow_cric', 'ssd512-narrow', 'cric'),
        ('ldwsccd_ssd256-narrow_composed', 'ssd256-narrow', 'composed'),
        ('ldwsccd_ssd256-narrow_synthetic', 'ssd256-narrow', 'synthetic'),
    ):
        whole = Config.fromfile(folder / f'{full}.py')
        for row in (f'{student}{part}_{data}' for part in ('', '_ldm', '_mil')):
            other = Config.fromfile(folder / f'{row}.py')
            for key in (
                'train_dataloader',
                'val_dataloader',
                'optim_wrapper',
                'param_scheduler',
                'train_cfg',
                'randomness',
            ):
                assert other[key] == whole[key], (row, key)
            for key in ('backbone', 'neck', 'bbox_head', 'data_preprocessor'):
                assert other.model[key] == whole.model[key], (row, key)


def test_paper_priors_are_eq_4():
    cfg = load('configs/ldwsccd/ldwsccd_ssd512_paper-priors_ccd.py')
    generator = cfg.model.bbox_head.anchor_generator
    sizes = [512 * (0.2 + 0.7 * k / 6) for k in range(8)]
    assert list(generator.min_sizes) == pytest.approx(sizes[:7], abs=0.1)
    assert list(generator.max_sizes) == pytest.approx(sizes[1:], abs=0.1)
    # s'_k = sqrt(s_k s_{k+1}) is the second prior of ratio 1
    priors = MODELS.build(cfg.model.bbox_head).prior_generator.base_anchors[0]
    sides = sorted((priors[:, 2] - priors[:, 0]).tolist())
    for side in (sizes[0], (sizes[0] * sizes[1]) ** 0.5):
        assert min(abs(side - s) for s in sides) < 0.1


@pytest.mark.parametrize(
    'path', ['configs/ldwsccd_ssd512.py', 'configs/ldwsccd/ldwsccd_ssd512_paper-priors_ccd.py']
)
def test_schedule_batch_and_input_are_the_papers(path):
    """120 epochs, learning rate 1e-4, weight decay 5e-4, batches of 10, 512 px, 11 classes."""
    cfg = load(path)
    optimizer = cfg.optim_wrapper.optimizer
    assert (cfg.train_cfg.max_epochs, optimizer.lr, optimizer.weight_decay) == (120, 1e-4, 5e-4)
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 10
    resizes = [s for s in cfg.train_dataloader.dataset.pipeline if s['type'] == 'Resize']
    assert [tuple(s['scale']) for s in resizes] == [(512, 512)]
    assert cfg.model.bbox_head.num_classes == 11
    # eq. 5-7: smooth L1, and three negatives for a positive
    assert (cfg.model.train_cfg.neg_pos_ratio, cfg.model.train_cfg.smoothl1_beta) == (3, 1.0)
    assert cfg.model.train_cfg.assigner.pos_iou_thr == 0.5


def test_a_held_out_part_of_train_chooses_the_checkpoint():
    """Test is looked at once; all else is the paper's config."""
    held_out = load('configs/ldwsccd/ldwsccd_ssd512_held-out_ccd.py')
    base = Config.fromfile(ROOT / 'configs/_base_/datasets/ccd_held_out_detection.py')
    plain = load('configs/ldwsccd_ssd512.py')
    for cfg in (held_out, base):
        train, val, test = (
            cfg[f'{stage}_dataloader'].dataset for stage in ('train', 'val', 'test')
        )
        assert (train.ann_file, val.ann_file, test.ann_file) == (
            *('train.json', 'train.json'),
            'test.json',
        )
        assert (train.fold, val.fold) == (dict(of=10, leave_out=0), dict(of=10, only=0))
        assert 'fold' not in test
    for stage in ('train', 'val'):
        data = held_out[f'{stage}_dataloader'].dataset
        del data.fold
        data.ann_file = plain[f'{stage}_dataloader'].dataset.ann_file
    for key in ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper'):
        assert held_out[key] == plain[key], key
