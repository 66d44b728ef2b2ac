import json
from xml.etree import ElementTree

from ldwsccd_mmdet.experiments.report import plot_training_curves, read_training_log
from ldwsccd_mmdet.experiments.report.training_curves import (
    plot_validation_curves,
    read_validation_log,
)


def write_run(work_dir, stamp, entries, tail=''):
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(entry) for entry in entries]
    (folder / 'scalars.json').write_text('\n'.join(lines) + tail)


def entry(step, loss):
    return {'lr': 0.1, 'loss': loss, 'loss_cls': loss / 2, 'epoch': 1, 'step': step}


def test_resumed_run_replaces_what_it_repeats(tmp_path):
    write_run(tmp_path, '20250101_000000', [entry(10, 5.0), entry(20, 4.0), entry(30, 3.0)])
    write_run(
        tmp_path,
        '20250101_000100',
        [entry(20, 4.5), {'coco/bbox_mAP_50': 0.1, 'step': 1}],
        tail='\n{"loss": 1.0, "st',  # being written
    )
    log = read_training_log(tmp_path)
    assert [(row['step'], row['loss']) for row in log] == [(10, 5.0), (20, 4.5)]


def test_validations_apart_from_the_losses(tmp_path):
    measured = [{'coco/bbox_mAP_50': value, 'step': epoch} for epoch, value in ((1, 0.1), (2, 0.2))]
    write_run(tmp_path, '20250101_000000', [entry(10, 5.0), measured[0], entry(20, 4.0)])
    write_run(tmp_path, '20250101_000100', [entry(20, 4.0), *measured])
    log = read_validation_log(tmp_path)
    assert [(row['step'], row['coco/bbox_mAP_50']) for row in log] == [(1, 0.1), (2, 0.2)]
    assert [row['step'] for row in read_training_log(tmp_path)] == [10, 20]
    assert 'coco/bbox_mAP_50' in plot_validation_curves({'SSD': log})


def test_no_log_yet(tmp_path):
    assert read_training_log(tmp_path) == []
    assert plot_training_curves({'SSD': []}) == ''


def test_one_panel_a_term():
    logs = {
        'teacher': [{'step': 1, 'loss': 2.0, 'loss_cls': 1.0}, {'step': 2, 'loss': 1.0}],
        'student': [{'step': 1, 'loss': 2.0, 'loss_distill_fg': float('nan'), 'lr': 0.1}],
    }
    svg = plot_training_curves(logs)
    root = ElementTree.fromstring(svg)
    groups = [g.get('id', '') for g in root.iter('{http://www.w3.org/2000/svg}g')]
    assert sum(group.startswith('axes_') for group in groups) == 3
    assert plot_training_curves(logs) == svg  # the same log gives the same file
