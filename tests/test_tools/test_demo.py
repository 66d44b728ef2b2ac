import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image
from rich.console import Console

from ldwsccd.demo import main
from ldwsccd.main import parse_args
from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments import comparison, demo, report
from ldwsccd_mmdet.experiments.stages import StageFailed, claim

ROOT = Path(__file__).resolve().parents[2]


class Programs:
    """Stands for the programs that the demo starts: draws smears, pretends to train and test."""

    def __init__(self, drawn):
        self.drawn = drawn
        self.calls = []
        self.interrupt_at = None

    def __call__(self, command, log, progress, show):
        tool, arguments = command[3], command[4:]
        name = log.parent.name if tool != 'draw' else 'data'
        self.calls.append(name + ('+resume' if '--resume' in arguments else ''))
        if tool == 'draw':
            self.draw(arguments)
        elif tool == 'train':
            self.train(Path(arguments[0]), log.parent, name)
        else:
            self.test(Path(arguments[arguments.index('--out') + 1]))
        show(*progress())

    def draw(self, arguments):
        value = dict(argument.split('=', 1) for argument in arguments)
        numbers = (value[key] for key in ('--num-train', '--num-val', '--seed'))
        faults = (value[key] for key in ('--missing', '--wrong-class'))
        folder = self.drawn(tuple(map(int, numbers)), tuple(map(float, faults)))
        shutil.copytree(folder, value['--out'], dirs_exist_ok=True)
        self.truth = Path(value['--out']) / 'val.json'

    def train(self, config, folder, name):
        epochs = Config.fromfile(config).train_cfg.max_epochs
        log = folder / '20250101_000000' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(json.dumps({'loss': 2.5, 'epoch': 1, 'step': 1}))
        (folder / 'train.log').write_text(
            'Epoch(train)  [1][2/2]  lr: 1e-3  eta: 0:00:00  time: 0.1  loss: 2.5000\n'
        )
        (folder / config.name).write_text(config.read_text())
        state = dict(state_dict={}, optimizer={}, meta=dict(epoch=1, iter=2))
        torch.save(state, folder / 'epoch_1.pth')
        if name == self.interrupt_at:
            self.interrupt_at = None
            raise KeyboardInterrupt
        (folder / f'epoch_{epochs}.pth').touch()

    def test(self, out):
        out.parent.mkdir(parents=True, exist_ok=True)
        images = json.loads(self.truth.read_text())['images']
        instances = dict(
            bboxes=torch.tensor([[1.0, 1, 9, 9]]), scores=torch.ones(1), labels=torch.tensor([0])
        )
        samples = [dict(img_id=image['id'], pred_instances=instances) for image in images]
        out.write_bytes(pickle.dumps(samples))


@pytest.fixture(scope='module')
def drawn(tmp_path_factory):
    """Smears, each kind drawn once."""
    from ldwsccd_mmdet.preparation.synthetic import LabelFaults, write_synthetic_dataset

    @cache
    def draw(numbers, faults):
        folder = tmp_path_factory.mktemp('drawn') / 'set'
        write_synthetic_dataset(folder, *numbers, 64, faults=LabelFaults(*faults))
        return folder

    return draw


@pytest.fixture
def programs(monkeypatch, drawn):
    fake = Programs(drawn)
    for module in (comparison, demo):
        monkeypatch.setattr(module, 'run_program', fake)
    return fake


@pytest.fixture
def no_page(monkeypatch):
    """The page takes a second to draw, and most tests do not look at it."""
    table = '# Page\n\n## Models\n\n| a |\n'
    monkeypatch.setattr(
        report, 'write_report', lambda _, path: path.with_suffix('.md').write_text(table)
    )


def run(out, *arguments):
    stream = io.StringIO()
    flags = ['--quick', '--num-train', '4', '--num-val', '2', '--out', str(out), *arguments]
    code = main(parse_args('demo', flags), Console(file=stream, width=120))
    return code, stream.getvalue()


# each test right after its training
ALL = ['data', 'teacher', 'test-teacher', 'ssd', 'test-ssd', 'ld-wsccd', 'test-ld-wsccd']


def test_all_stages_and_again(programs, tmp_path):
    code, output = run(tmp_path, '--picture', str(tmp_path / 'picture.png'))
    assert code == 0
    assert programs.calls == ALL
    page = (tmp_path / 'index.html').read_text(encoding='utf-8')
    assert all(word in page for word in ('Teacher', 'LD-WSCCD', 'actinomyces', 'loss'))
    assert str(tmp_path / 'index.html') in output
    assert re.search(r'SSD\s.*\d\.\d', output)
    assert (tmp_path / 'picture.png').stat().st_size < 300_000
    with Image.open(tmp_path / 'picture.png') as picture:
        assert picture.width > 0

    programs.calls.clear()
    code, output = run(tmp_path)
    assert code == 0
    assert programs.calls == []
    assert output.count('done before') == len(ALL)


@pytest.mark.parametrize(
    ('change', 'repeated'),
    [
        (['--epochs', '2'], ALL[3:]),
        (
            ['--teacher-epochs', '2'],
            ['teacher', 'test-teacher', 'ld-wsccd', 'test-ld-wsccd'],
        ),
        (['--missing', '0.5'], ALL),
        (['--score-thr', '0.1'], []),
    ],
)
@pytest.mark.usefixtures('no_page')
def test_changed_settings_repeat_what_depends_on_them(programs, tmp_path, change, repeated):
    run(tmp_path)
    programs.calls.clear()
    code, _ = run(tmp_path, *change)
    assert code == 0
    assert programs.calls == repeated


@pytest.mark.usefixtures('no_page')
def test_a_lost_result_is_made_again(programs, tmp_path):
    run(tmp_path)
    programs.calls.clear()
    (tmp_path / 'test-ssd' / 'predictions.pkl').unlink()
    run(tmp_path)
    assert programs.calls == ['test-ssd']


@pytest.mark.usefixtures('no_page')
def test_interrupted_training_is_resumed(programs, tmp_path):
    programs.interrupt_at = 'ld-wsccd'
    code, output = run(tmp_path)
    assert code == 130
    assert 'goes on from there' in output
    programs.calls.clear()
    assert run(tmp_path)[0] == 0
    assert programs.calls == ['ld-wsccd+resume', 'test-ld-wsccd']


@pytest.mark.usefixtures('no_page')
def test_interrupted_training_starts_anew_with_other_settings(programs, tmp_path):
    programs.interrupt_at = 'ld-wsccd'
    run(tmp_path)
    programs.calls.clear()
    run(tmp_path, '--epochs', '3')
    assert programs.calls == ALL[3:]


def test_folder_with_other_things_is_left_alone(programs, tmp_path):
    precious = tmp_path / 'data' / 'precious.txt'
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(ConfigError, match='with other things in it; name another folder'):
        run(tmp_path)
    assert precious.is_file()
    assert programs.calls == []


def test_folder_of_a_running_demo(programs, tmp_path):
    with claim(tmp_path, 'demo'), pytest.raises(ConfigError, match='another demo is running'):
        run(tmp_path)


@pytest.mark.usefixtures('no_page')
def test_failed_stage_is_said_and_tried_again(programs, tmp_path, monkeypatch):
    def fail(*_):
        raise StageFailed('exit code 1 of: train')

    monkeypatch.setattr(programs, 'train', fail)
    code, output = run(tmp_path)
    assert code == 1
    assert 'exit code 1 of: train' in output
    monkeypatch.undo()
    for module in (comparison, demo):
        monkeypatch.setattr(module, 'run_program', programs)
    programs.calls.clear()
    assert run(tmp_path)[0] == 0
    assert programs.calls == ALL[1:]


@pytest.mark.parametrize('arguments', [['--missing', '1.5'], ['--epochs', '0'], ['--seed', '-1']])
def test_numbers_out_of_range(arguments, capsys):
    with pytest.raises(SystemExit):
        parse_args('demo', arguments)
    assert f'argument {arguments[0]}: expected a' in capsys.readouterr().err


def test_quick_keeps_off_the_full_demo():
    assert parse_args('demo', ['--quick']).out != parse_args('demo', []).out


@pytest.mark.slow
def test_quick_demo(tmp_path):
    out = tmp_path / 'demo, with space'
    command = [sys.executable, str(ROOT / 'tools' / 'demo.py'), '--quick', '--out', str(out)]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=600)
    assert (out / 'index.html').stat().st_size < 3_000_000
    again = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert again.stdout.count('done before') == len(ALL)
