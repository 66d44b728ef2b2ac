from ldwsccd_mmdet.engine.runner import CellRunner, TerminalRunner


def test_lines_go_to_the_file_and_warnings_to_the_terminal_too(tmp_path, capsys):
    for kind in (CellRunner, TerminalRunner):
        runner = kind.__new__(kind)  # mmengine's own needs a whole training
        runner._experiment_name = f'test_{kind.__name__}'
        file = tmp_path / f'{kind.__name__}.log'
        logger = runner.build_logger(log_file=str(file))
        logger.info('a line')
        logger.warning('a warning')
        said = capsys.readouterr().out
        assert ('a line' in said) == (kind is CellRunner)
        assert 'a warning' in said
        text = file.read_text(encoding='utf-8')
        assert 'a line' in text and 'a warning' in text
