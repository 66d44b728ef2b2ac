"""A comparison whose models learn mined cells: who learns what, from whom, in which order."""

import pytest
from mmengine.config import Config

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments.comparison import find_models
from ldwsccd_mmdet.experiments.mined_comparison import MinedComparison


def dataset(ann_file='train.json'):
    return dict(
        dataset=dict(data_root='data/x/', ann_file=ann_file, data_prefix=dict(img='images'))
    )


@pytest.fixture
def configs(tmp_path):
    """A teacher, a plain SSD, and the two students with a part of the method."""
    common = dict(
        train_cfg=dict(by_epoch=True, max_epochs=4),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        train_dataloader=dataset(),
        test_dataloader=dataset('test.json'),
    )
    Config(dict(common, model=dict(type='SingleStageDetector'))).dump(tmp_path / 'teacher.py')
    teacher = dict(config=str(tmp_path / 'teacher.py'), checkpoint='x.pth')
    for name, parts in (
        ('ssd', {}),
        ('mil', dict(mil_head=dict(type='MILRefinementHead'))),
        ('ld', dict(teacher=teacher, mil_head=dict(type='MILRefinementHead'))),
    ):
        Config(dict(common, model=dict(type='LDWSCCD', **parts))).dump(tmp_path / f'{name}.py')
    return tmp_path


def compare(configs, names=('ssd', 'mil', 'ld'), **kwargs):
    models = find_models([configs / f'{name}.py' for name in names])
    return MinedComparison(models, out=configs / 'out', seeds=[3, 4], **kwargs)


def test_models_with_a_part_of_the_method_learn_what_was_mined_last(configs):
    comparison = compare(configs, rounds=2)
    out = (configs / 'out').resolve()
    mined = str(out / 'mining' / 'mined_2' / 'mined.json')
    for seed in (3, 4):
        data = {
            name: Config.fromfile(out / 'configs' / f'seed_{seed}' / f'{name}.py')
            for name in ('ssd', 'mil', 'ld')
        }
        assert 'mined_file' not in data['ssd'].train_dataloader.dataset
        assert data['mil'].train_dataloader.dataset.mined_file == mined
        assert data['ld'].train_dataloader.dataset.mined_file == mined
        teacher = data['ld'].model.teacher
        assert teacher.checkpoint == str(out / 'mining' / 'teacher' / 'epoch_4.pth')
        assert teacher.config == str(out / 'mining' / 'teacher' / 'config.py')
    assert f'Teacher={out / "mining" / "teacher"},' in comparison.sources()[-1]


def test_each_stage_comes_once_and_after_those_it_needs(configs):
    stages = compare(configs, rounds=2).runner.stages
    names = [stage.name for stage in stages]
    assert len(set(names)) == len(names)
    for number, stage in enumerate(stages):
        assert all(stages.index(need) < number for need in stage.needs)
    by_name = dict(zip(names, stages, strict=True))
    assert by_name['mining/mined_2'] in by_name['ld/seed_4'].needs
    assert by_name['mining/teacher'] in by_name['ld/seed_4'].needs
    assert by_name['mining/teacher'] in by_name['tests/teacher_seed_3'].needs
    looks = by_name['mining/student'].settings['config']
    assert looks['model']['mil_head'] and looks['model']['teacher']  # the whole method
    assert by_name['mining/taught'] in by_name['mining/student'].needs


def test_one_round_is_what_find_missing_does(configs):
    names = [stage.name for stage in compare(configs).runner.stages]
    assert names[:4] == ['mining/hidden', 'mining/teacher', 'mining/finds', 'mining/mined']


def test_refuses_what_it_cannot_mine(configs):
    with pytest.raises(ConfigError, match='--rounds: expected a config with a teacher.*ssd.py'):
        compare(configs, ['ssd', 'mil'])
    other = Config.fromfile(configs / 'mil.py')
    other.train_dataloader.dataset.ann_file = 'half.json'
    other.dump(configs / 'half.py')
    with pytest.raises(ConfigError, match='--rounds: expected models .* one annotation file'):
        compare(configs, ['ld', 'half'])
