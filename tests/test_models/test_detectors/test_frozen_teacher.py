import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from torch import nn

from ldwsccd_mmdet.errors import CheckpointError, ConfigError
from ldwsccd_mmdet.models import FrozenTeacher
from ldwsccd_mmdet.models.detectors.frozen_teacher import _fold_batch_norms
from tests.test_models.test_detectors.conftest import student_cfg, teacher_model_cfg


@pytest.fixture
def preprocessor():
    return MODELS.build(student_cfg().data_preprocessor)


def test_gets_the_image_in_its_own_normalisation(teacher, preprocessor):
    """The maps are those of the teacher run alone on the raw image."""
    raw = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)
    data = dict(inputs=[raw], data_samples=None)
    student_input = preprocessor(data)['inputs']
    frozen = FrozenTeacher(**teacher, student_preprocessor=preprocessor)
    alone = MODELS.build(teacher_model_cfg()).eval()
    alone.load_state_dict(torch.load(teacher['checkpoint'], weights_only=True)['state_dict'])
    with torch.no_grad():
        expected = alone.extract_feat(alone.data_preprocessor(data)['inputs'])
    for a, b in zip(frozen.extract_feat(student_input), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_same_normalisation_needs_no_work(teacher):
    same = MODELS.build(teacher_model_cfg().data_preprocessor)
    frozen = FrozenTeacher(**teacher, student_preprocessor=same)
    assert frozen._affine == (None, None, False)


def test_is_frozen(teacher, preprocessor):
    frozen = FrozenTeacher(**teacher, student_preprocessor=preprocessor)
    assert not frozen.model.training
    assert not any(p.requires_grad for p in frozen.model.parameters())
    assert not any(f.requires_grad for f in frozen.extract_feat(torch.randn(1, 3, 64, 64)))


class ConvAndNorm(nn.Module):
    """A convolution, registered before its batch norm, and run before or behind it."""

    def __init__(self, norm_first):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.norm_first = norm_first
        nn.init.uniform_(self.norm.running_mean)
        nn.init.uniform_(self.norm.running_var, 0.5, 2)
        nn.init.uniform_(self.norm.weight, 0.5, 2)

    def extract_feat(self, x):
        return (self.conv(self.norm(x)) if self.norm_first else self.norm(self.conv(x)),)


@torch.no_grad()
@pytest.mark.parametrize('norm_first', [False, True])
def test_batch_norms_are_folded_where_the_maps_stay_the_same(norm_first):
    model = ConvAndNorm(norm_first).eval()
    image = torch.randn(1, 3, 8, 8)
    expected = model.extract_feat(image)[0]
    folded = _fold_batch_norms(model, image)
    assert (folded is model) == norm_first
    assert norm_first or not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    torch.testing.assert_close(folded.extract_feat(image)[0], expected)


def test_runs_folded_and_follows_with_it(teacher, preprocessor):
    frozen = FrozenTeacher(**teacher, student_preprocessor=preprocessor)
    assert frozen.folded is None
    frozen.extract_feat(torch.randn(1, 3, 64, 64))
    frozen.apply(lambda t: t.double() if t.is_floating_point() else t)
    assert {p.dtype for p in frozen.folded.parameters()} == {torch.float64}


def test_config_may_be_a_dict_or_an_mmdet_name(teacher, preprocessor):
    model_cfg = teacher_model_cfg()
    for config in (model_cfg, dict(model=model_cfg)):
        FrozenTeacher(config, teacher['checkpoint'], preprocessor)
    with pytest.raises(CheckpointError, match='is not of the architecture .*RetinaNet'):
        FrozenTeacher(
            'mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', teacher['checkpoint'], preprocessor
        )


def test_config_beside_the_package_is_found_from_anywhere(preprocessor, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match='model.teacher.checkpoint: expected a file'):
        FrozenTeacher('configs/teachers/teacher_mobilenetv2-fpn_cric.py', 'none.pth', preprocessor)


@pytest.mark.parametrize('prefix', ['module.', 'teacher.', 'architecture.', 'ema_'])
def test_checkpoint_with_a_prefix_loads(teacher, preprocessor, tmp_path, prefix):
    state = torch.load(teacher['checkpoint'], weights_only=True)['state_dict']
    torch.save({f'{prefix}{k}': v for k, v in state.items()}, tmp_path / 'ddp.pth')
    loaded = FrozenTeacher(teacher['config'], str(tmp_path / 'ddp.pth'), preprocessor)
    assert loaded.missing_keys == [] and loaded.loaded_weights[0] == loaded.loaded_weights[1]
    assert all(torch.equal(v, state[k]) for k, v in loaded.model.state_dict().items())


def test_weights_that_are_not_finite_are_the_teachers(teacher, preprocessor, tmp_path):
    content = torch.load(teacher['checkpoint'], weights_only=True)
    content['state_dict']['bbox_head.cls_convs.0.0.bias'][0] = float('nan')
    torch.save(content, tmp_path / 'nan.pth')
    with pytest.raises(CheckpointError, match=r'model.teacher.checkpoint: the teacher .*1 of \d+'):
        FrozenTeacher(teacher['config'], str(tmp_path / 'nan.pth'), preprocessor)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(config='nowhere.py'), 'model.teacher.config: expected a config file.*nowhere.py'),
        (dict(config='mmdet::retina/none.py'), 'mmdet has no config mmdet::retina/none.py'),
        (dict(config=dict(type_=1)), 'expected a config with a key "model"'),
        (dict(checkpoint='nowhere.pth'), 'model.teacher.checkpoint: .*nothing at nowhere.pth'),
        (dict(checkpoint=None), 'model.teacher.checkpoint: .*found None'),
    ],
)
def test_missing_files(teacher, preprocessor, change, message):
    with pytest.raises(ConfigError, match=message):
        FrozenTeacher(**{**teacher, **change}, student_preprocessor=preprocessor)


def test_checkpoint_of_another_architecture(teacher, preprocessor, tmp_path):
    other = teacher_model_cfg()
    other.backbone.widen_factor = 1 / 16
    other.neck.update(in_channels=(32, 64), out_channels=(32, 64, 8))
    other.bbox_head.update(in_channels=(32, 64, 8))
    Config(dict(model=other)).dump(tmp_path / 'other.py')
    with pytest.raises(
        CheckpointError, match=r'is not of the architecture.*backbone\.features'
    ) as info:
        FrozenTeacher(str(tmp_path / 'other.py'), teacher['checkpoint'], preprocessor)
    assert str(tmp_path / 'teacher.pth') in str(info.value)
