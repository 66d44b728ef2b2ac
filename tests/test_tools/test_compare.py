from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from rich.console import Console

from ldwsccd.compare import main
from ldwsccd.main import parse_args
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments import comparison
from ldwsccd_mmdet.experiments.comparison import find_models


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """A teacher and the four rows of Table 4, as configs of a few lines."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'configs' / 'mine'
    folder.mkdir(parents=True)
    (folder / 'teacher.py').write_text(
        "model = dict(type='LDWSCCD', bbox_head=dict(num_classes=2))\n"
        "train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)\n"
        'param_scheduler = [\n'
        '    dict(type="LinearLR", by_epoch=False, end=3), dict(type="ConstantLR", end=3)\n'
        ']\n'
    )
    teacher = dict(config='configs/mine/teacher.py', checkpoint='work_dirs/teacher/epoch_3.pth')
    for name, parts in (
        ('ld', dict(teacher=teacher, mil_head=dict(type='MILRefinementHead'))),
        ('a_mil', dict(mil_head=dict(type='MILRefinementHead'))),
        ('b_ldm', dict(teacher=teacher)),
        ('c_ssd', {}),
    ):
        (folder / f'{name}.py').write_text("_base_ = './teacher.py'\nmodel = " + repr(parts) + '\n')
    return folder


class Programs:
    """Stands for the programs that the comparison starts."""

    def __init__(self):
        self.calls = []
        self.interrupt_at = None

    def __call__(self, command, log, progress, show):
        tool, arguments = command[3], command[4:]
        log.parent.mkdir(parents=True, exist_ok=True)
        if tool == 'report':
            self.calls.append('report')
            self.sources = [argument for argument in arguments if '=' in argument]
            out = Path(arguments[arguments.index('--out') + 1])
            out.with_suffix('.md').write_text('# Page\n\n## Models\n\n| a |\n')
            return
        name = '/'.join(log.parent.parts[-2:])
        self.calls.append(name + ('+resume' if '--resume' in arguments else ''))
        if tool == 'train':
            config = Config.fromfile(arguments[0])
            if config.model.get('teacher'):
                assert Path(config.model.teacher.checkpoint).is_file()
                assert Path(config.model.teacher.config).is_file()
            state = dict(state_dict={}, optimizer={}, meta=dict(epoch=1, iter=2))
            torch.save(state, log.parent / 'epoch_1.pth')  # no pointer to it: killed before that
            if name == self.interrupt_at:
                self.interrupt_at = None
                raise KeyboardInterrupt
            (log.parent / f'epoch_{config.train_cfg.max_epochs}.pth').touch()
        else:
            assert Path(arguments[1]).is_file()
            Path(arguments[arguments.index('--out') + 1]).write_bytes(pickle.dumps([]))
        show(*progress())


@pytest.fixture
def programs(monkeypatch):
    fake = Programs()
    monkeypatch.setattr(comparison, 'run_program', fake)
    return fake


def run(*arguments):
    stream = io.StringIO()
    args = parse_args('compare', [*map(str, arguments)])
    code = main(args, Console(file=stream, width=120))
    return code, stream.getvalue()


ORDER = [
    'teacher/seed_0',
    'c_ssd/seed_0',
    'b_ldm/seed_0',
    'a_mil/seed_0',
    'ld/seed_0',
    'c_ssd/seed_1',
    'b_ldm/seed_1',
    'a_mil/seed_1',
    'ld/seed_1',
]
TESTS = ['tests/' + name.replace('/', '_') for name in ORDER]
ALL = [call for pair in zip(ORDER, TESTS, strict=True) for call in pair] + ['report']


def test_whole_ablation_and_again(configs, programs, tmp_path):
    code, output = run(configs, '--seeds', 0, 1)
    assert code == 0
    assert programs.calls == ALL
    out = tmp_path / 'work_dirs' / 'compare_mine'
    assert [source.split('=')[0] for source in programs.sources] == [
        'SSD',
        'SSD+LDM',
        'SSD+MIL',
        'LD-WSCCD',
        'SSD',
        'SSD+LDM',
        'SSD+MIL',
        'LD-WSCCD',
        'Teacher',
    ]
    assert '| a |' in output
    assert str(out / 'report.html') in output
    config = Config.fromfile(out / 'configs' / 'seed_1' / 'ld.py')
    assert config.randomness.seed == 1
    assert config.model.teacher.checkpoint == str(out / 'teacher' / 'seed_0' / 'epoch_3.pth')

    programs.calls.clear()
    code, output = run(configs, '--seeds', 0, 1)
    assert (code, programs.calls) == (0, ['report'])
    assert output.count('done before') == len(ALL) - 1


def test_one_more_seed(configs, programs):
    run(configs)
    programs.calls.clear()
    run(configs, '--seeds', 0, 1)
    assert programs.calls == ALL[10:]


def test_interrupted_training_is_resumed(configs, programs):
    programs.interrupt_at = 'a_mil/seed_0'
    code, output = run(configs, '--seeds', 0, 1)
    assert code == 130
    assert 'goes on from there' in output
    programs.calls.clear()
    assert run(configs, '--seeds', 0, 1)[0] == 0
    assert programs.calls == ['a_mil/seed_0+resume', *ALL[7:]]


def test_changed_setting_repeats_all(configs, programs, tmp_path):
    run(configs)
    programs.calls.clear()
    run(configs, '--epochs', 5, '--cfg-options', 'model.bbox_head.num_classes=4')
    assert programs.calls == [*ALL[:10], 'report']
    path = tmp_path / 'work_dirs' / 'compare_mine' / 'configs' / 'seed_0' / 'teacher.py'
    config = Config.fromfile(path)
    assert config.model.bbox_head.num_classes == 4
    assert config.train_cfg.max_epochs == 5
    assert [scheduler.end for scheduler in config.param_scheduler] == [3, 5]


def test_some_configs(configs, programs):
    run(configs / 'c_ssd.py', configs / 'ld.py', '--out', 'mine')
    # the teacher is found by the config that names it
    assert programs.calls[:-1:2] == ['teacher/seed_0', 'c_ssd/seed_0', 'ld/seed_0']


def test_same_parts_go_by_their_file_names(configs):
    (configs / 'ld_more.py').write_text("_base_ = './ld.py'\n")
    names = [model.name for model in find_models([str(configs)])]
    assert names == ['Teacher', 'c_ssd', 'b_ldm', 'a_mil', 'ld', 'ld_more']


def test_faults(configs, tmp_path):
    with pytest.raises(ConfigError, match='has no config'):
        find_models([str(tmp_path)])
    with pytest.raises(ConfigError, match='does not exist'):
        find_models([str(configs / 'none.py')])
    (configs / 'other_teacher.py').write_text("_base_ = './teacher.py'\n")
    (configs / 'ld2.py').write_text(
        "_base_ = './ld.py'\nmodel = dict(teacher=dict(config='configs/mine/other_teacher.py'))\n"
    )
    with pytest.raises(ConfigError, match='several teachers .other_teacher.py, teacher.py'):
        find_models([str(configs)])
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'precious.txt').touch()
    with pytest.raises(ConfigError, match='with other things in it'):
        run(configs, '--out', tmp_path / 'full')


@pytest.mark.parametrize('flags', [['--seeds', '-1'], ['--seeds', '1', '1'], ['--epochs', '0']])
def test_wrong_numbers(flags, capsys):
    with pytest.raises(SystemExit):
        parse_args('compare', ['configs', *flags])
    assert flags[0] in capsys.readouterr().err


def test_rounds_mine_first(configs, monkeypatch):
    made = {}

    class Stopped(Exception):
        pass

    def stop(models, rounds, **given):
        made.update(given, rounds=rounds, names=[model.name for model in models])
        raise Stopped

    monkeypatch.setattr('ldwsccd_mmdet.experiments.mined_comparison.MinedComparison', stop)
    with pytest.raises(Stopped):
        run(configs, '--rounds', 2, '--seeds', 5)
    assert (made['rounds'], made['seeds']) == (2, [5])
    assert made['names'] == ['Teacher', 'SSD', 'SSD+LDM', 'SSD+MIL', 'LD-WSCCD']
