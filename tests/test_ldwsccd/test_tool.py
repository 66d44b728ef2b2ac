"""What goes wrong in a command is one line and exit code 2; the traceback is kept."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import MMLogger

from ldwsccd.main import parse_args
from ldwsccd.tool import run_tool
from ldwsccd_mmdet.errors import ConfigError


def last_line(capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert code == 2
    return capsys.readouterr().err.splitlines()[-1]


def fail_to_build(args: argparse.Namespace) -> None:
    config = Config(dict(model=dict(neck=dict(type='FPN', in_channels=3, out_channels=4))))
    MODELS.build(config.model.neck)


def test_error_of_mmdet_is_one_line_with_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    line = last_line(capsys, run_tool(fail_to_build, argparse.Namespace()))
    assert line.startswith('error: model.neck: ') and 'traceback' in line


def test_traceback_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    args = parse_args('train', ['a.py', '--traceback'])
    assert run_tool(fail_to_build, args) == 2
    err = capsys.readouterr().err
    assert 'Traceback (most recent call last)' in err and 'build_from_cfg' in err
    assert err.splitlines()[-1].startswith('error: model.neck: ')


def test_traceback_goes_into_the_log_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / 'a.log'
    name = 'test_traceback_goes_into_the_log_file'
    logger = MMLogger.get_instance(name, logger_name=name, log_file=str(log))
    try:
        line = last_line(capsys, run_tool(fail_to_build, argparse.Namespace()))
    finally:
        MMLogger._instance_dict.pop(name)
        for handler in logger.handlers:
            handler.close()
    assert 'traceback: ' in line
    assert 'Traceback (most recent call last)' in log.read_text()


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (ConfigError('a.b: expected c'), 'error: a.b: expected c'),
        (KeyError('nms'), "error: KeyError: 'nms' ("),
        (RuntimeError('a\nb ' + 'c' * 5000), 'error: RuntimeError: a b ccc'),
        (RuntimeError('Timed out waiting 300000ms for recv'), 'env_cfg.dist_cfg.timeout'),
    ],
)
def test_one_line(error: Exception, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(args: Any) -> None:
        raise error

    line = last_line(capsys, run_tool(main, argparse.Namespace()))
    assert expected in line and len(line) < 600


def test_launcher_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(args: Any) -> None:
        raise ConfigError('a.b: wrong')

    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / 'reply.json'))
    last_line(capsys, run_tool(main, argparse.Namespace()))
    assert json.loads((tmp_path / 'reply.json').read_text())['message'] == 'a.b: wrong'
