"""A page on trainings alone: how far they are, and their curves; nothing is measured for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...errors import ResultsError
from .gallery import data_uri
from .page import page_environment, write_text
from .sources import Source, test_command
from .tables import Table, Value
from .training_curves import (
    plot_training_curves,
    plot_validation_curves,
    read_training_log,
    read_validation_log,
)

__all__ = ['write_training_page']


def write_training_page(
    sources: Sequence[Source], path: str | Path, title: str | None = None
) -> Path:
    """Write one HTML page of what trainings, finished or not, have logged so far.

    Args:
        sources: The trainings; each has a work directory.
        path: The file to write; its folder is made.
        title: Title of the page.

    Returns:
        The path of the page.

    Raises:
        ResultsError: None has logged a step yet.
    """
    names = _names(sources)
    folders = [source.work_dir for source in sources if source.work_dir is not None]
    losses = {n: read_training_log(f) for n, f in zip(names, folders, strict=True)}
    if not any(losses.values()):
        raise ResultsError(
            f'{", ".join(map(str, folders))}: no training step is logged yet; wait for the first '
            'lines of the log'
        )
    measures = {n: read_validation_log(f) for n, f in zip(names, folders, strict=True)}
    figures = {
        'measures': plot_validation_curves(measures),
        'losses': plot_training_curves(losses),
    }
    page = (
        page_environment()
        .get_template('training.html')
        .render(
            title=title or f'Training of {", ".join(dict.fromkeys(s.name for s in sources))}',
            table=_progress(sources, names),
            figures={
                k: data_uri(v.encode(), 'image/svg+xml') if v else '' for k, v in figures.items()
            },
            pictures=[
                (name, picture.stem.partition('_')[2], data_uri(picture.read_bytes(), 'image/jpeg'))
                for name, folder in zip(names, folders, strict=True)
                for picture in _newest_pictures(folder)
            ],
            commands=[
                test_command(f, s.config_path) for f, s in zip(folders, sources, strict=True)
            ],
            swatches={},
        )
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
    return path


def _newest_pictures(folder: Path) -> list[Path]:
    """What the last validation of a training has drawn; see ``CellVisualizationHook``."""
    runs = sorted(folder.glob('*/vis_data/val_pictures'))
    return sorted(runs[-1].glob('*.jpg')) if runs else []


def _names(sources: Sequence[Source]) -> list[str]:
    """Name each training; those of one model by their seeds, too."""
    names = [source.name for source in sources]
    return [
        name if names.count(name) == 1 else f'{name}, seed {source.seed} ({i})'
        for i, (name, source) in enumerate(zip(names, sources, strict=True), start=1)
    ]


def _progress(sources: Sequence[Source], names: Sequence[str]) -> Table:
    """Tabulate how far each training is."""
    rows: list[list[str | Value]] = []
    for source, name in zip(sources, names, strict=True):
        assert source.work_dir is not None
        steps, measured = read_training_log(source.work_dir), read_validation_log(source.work_dir)
        last = steps[-1] if steps else {}
        length = ((source.config or {}).get('train_cfg') or {}).get('max_epochs')
        epoch = f'{last.get("epoch", 0)}' + (f' of {length}' if length else '')
        values = [Value(float('nan'), style='number')] * 3
        if steps:
            values[0] = Value(float(last['loss']), style='number')
        key = next((k for entry in measured for k in entry if k.endswith('mAP_50')), None)
        key = key or next((k for entry in measured for k in entry if 'mAP' in k), None)
        maps = [float(entry[key]) for entry in measured if key in entry] if key else []
        if maps:
            values[1:] = [Value(maps[-1]), Value(max(maps))]
        rows.append([name, epoch, str(last.get('step', 0)), *values])
    columns = ['Training', 'Epoch', 'Iteration', 'Loss', 'Last mAP, %', 'Best mAP, %']
    note = (
        'As logged in training, on the validation set. The loss is the total of the last logged '
        'step. The best of several validations flatters a little.'
    )
    return Table('progress', 'How far it is', columns, rows, note)
