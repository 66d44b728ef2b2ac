"""The command ``predict``: what it says, its exit codes, and one line for each fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ldwsccd.main import main
from ldwsccd_mmdet.apis import loading
from tests.test_apis.disc_detector import DiscDetector, write_image


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two pictures of 4 cells, and a detector that needs no file."""
    detector = DiscDetector(score_thr=0.55)
    monkeypatch.setattr(loading, 'load_detector', lambda *args: detector)
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    for index in range(2):
        write_image(tmp_path / 'photos' / f'{index}.png', seed=index)
    return tmp_path / 'photos'


def test_finds_cells_and_says_how(photos: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / 'out'
    command = ['predict', 'm.onnx', str(photos), '--out', str(out)]
    assert main([*command, '--score-thr', '0']) == 0
    said = capsys.readouterr().out
    assert '8 cells of score 0 and more in 2 images' in said and 'cells.csv' in said
    assert main([*command, '--score-thr', '0']) == 0
    assert '(2 of an earlier run)' in capsys.readouterr().out
    assert main([*command, '--score-thr', '0.1']) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: --out: '") and said.count('\n') == 1


def test_takes_the_score_of_the_model(photos: Path, tmp_path: Path, capsys) -> None:
    assert main(['predict', 'm.onnx', str(photos), '--out', str(tmp_path / 'out')]) == 0
    assert 'score cut 0.550: the best F1 at validation' in capsys.readouterr().out
    assert json.loads((tmp_path / 'out' / 'predict.json').read_text())['score_thr'] == 0.55


def test_an_unreadable_image_gives_status_1(photos: Path, tmp_path: Path, capsys) -> None:
    (photos / 'bad.png').write_bytes(b'no image')
    assert main(['predict', 'm.onnx', str(photos), '--out', str(tmp_path / 'out')]) == 1
    said = capsys.readouterr()
    assert 'in 2 images' in said.out and '1 images could not be read' in said.err


def test_launched_processes_share_the_images(photos, tmp_path, capsys, monkeypatch) -> None:
    """As torchrun starts them: the first says what it waits for, the last completes the files."""
    command = ['predict', 'm.onnx', str(photos), '--out', str(tmp_path / 'out')]
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('RANK', '1')
    assert main(command) == 0
    assert '1 images are with other processes' in capsys.readouterr().out
    monkeypatch.setenv('RANK', '0')
    assert main(command) == 0
    said = capsys.readouterr().out
    assert 'in 2 images' in said and 'other processes' not in said


@pytest.mark.parametrize(
    'line',
    ["custom_imports = dict(imports=['package_of_nobody.models'])", "_base_ = 'mmpose::body/a.py'"],
)
def test_a_config_whose_package_is_not_installed(tmp_path, capsys, monkeypatch, line: str) -> None:
    write_image(tmp_path / 'a.png')
    (tmp_path / 'config.py').write_text(line)
    (tmp_path / 'a.pth').write_bytes(b'')
    monkeypatch.chdir(tmp_path)
    read = ['predict', 'config.py', 'a.png', '--weights', 'a.pth', '--out', 'out']
    monkeypatch.setattr('ldwsccd_mmdet.apis.cell_inferencer.read_checkpoint', lambda file: {})
    assert main(read) == 2
    (said,) = (s for s in capsys.readouterr().err.splitlines() if s.startswith('error:'))
    name = 'package_of_nobody' if 'custom' in line else 'mmpose'
    assert name in said and 'install' in said
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        (['nowhere'], 'no image found'),
        (['photos', '--tile', 'big'], '--tile'),
        (['photos', '--tile', '4'], 'stride'),
        (['photos', '--mpp', '0'], '--mpp'),
        (['photos', '--overlap', '1'], '--overlap'),
        (['photos', '--batch-size', '0'], '--batch-size'),
        (['photos', '--score-thr', '7'], 'from 0 to 1'),
        (['photos', '--ann-file', 'gone.json'], '--ann-file'),
        (['photos', '--val', 'gone.json'], '--val'),
    ],
)
def test_one_line_for_each_fault(photos, tmp_path, capsys, monkeypatch, arguments, match) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(['predict', 'm.onnx', *arguments, '--out', 'out'])
    except SystemExit as error:  # argparse's own
        code = int(str(error))
    said = capsys.readouterr().err
    assert code == 2 and match in said.splitlines()[-1]
    assert not (tmp_path / 'out' / 'results.json').exists()
