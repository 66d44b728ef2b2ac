"""A right line of each command, and which of its words are files that are read or written.

``{x}`` is a file of the workplace; ``BAD`` is what a test puts there; ``OUT`` is a new folder.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.test_bad_inputs.bad_files import KINDS

__all__ = ['NO_FILES', 'READ', 'WRITTEN', 'Line']


class Line(NamedTuple):
    """One argument of one command.

    Attributes:
        command: Such as ``'convert yolo'``.
        argument: Its name, as argparse has it.
        words: The line.
        suffix: Ending of the bad file's name.
        slow: Whether a model is built before the file is read.
        may: Kinds that are no error there.
        needs: A package without which the command ends before it reads.
    """

    command: str
    argument: str
    words: str
    suffix: str = '.json'
    slow: bool = False
    may: frozenset[str] = frozenset()
    needs: str = ''


#: One image or slide that can't be read does not end a run over many: failed.csv, exit status 1.
FAILED_ONE = frozenset(KINDS) - {'missing', 'folder'}
#: The validation of a base config may be of another set: the loader's truth is taken, and said.
LEFT_OVER = frozenset({'missing', 'folder', 'pipe', 'device', 'dangling', 'loop'})
#: A line of text is the name of a class.
ONE_CLASS = frozenset({'number', 'null', 'utf16'})

#: Arguments that name what is read.
READ: tuple[Line, ...] = (
    Line('train', 'config', 'BAD --work-dir OUT', '.py'),
    Line('train', 'config', 'BAD --work-dir OUT', '.yaml'),
    Line('train', 'resume', '{plain.py} --work-dir OUT --resume BAD', '.pth', True),
    Line(
        'train',
        'cfg_options',
        '{plain.py} --work-dir OUT --cfg-options load_from=BAD',
        '.pth',
        True,
    ),
    Line(
        'train',
        'cfg_options',
        '{plain.py} --work-dir OUT --cfg-options train_dataloader.dataset.ann_file=BAD',
        '.json',
        True,
    ),
    Line(
        'train',
        'cfg_options',
        '{plain.py} --work-dir OUT --cfg-options val_evaluator.ann_file=BAD',
        '.json',
        True,
        LEFT_OVER,
    ),
    Line(
        'train',
        'cfg_options',
        '{distilled.py} --work-dir OUT --cfg-options model.teacher.checkpoint=BAD',
        '.pth',
        True,
    ),
    Line(
        'train',
        'cfg_options',
        '{distilled.py} --work-dir OUT --cfg-options model.teacher.config=BAD',
        '.py',
        True,
    ),
    Line(
        'train',
        'cfg_options',
        '{plain.py} --work-dir OUT --cfg-options '
        'model.backbone.init_cfg.type=Pretrained model.backbone.init_cfg.checkpoint=BAD',
        '.pth',
        True,
    ),
    Line('test', 'config', 'BAD {student.pth} --work-dir OUT', '.py'),
    Line('test', 'checkpoint', '{plain.py} BAD --work-dir OUT', '.pth', True),
    Line('compare', 'configs', 'BAD --out OUT', '.py'),
    Line('half-the-boxes', 'config', 'BAD --data x --out OUT', '.py'),
    Line('report', 'models', 'BAD --ann {tiny/train.json} --out OUT/r.html', '.pkl'),
    Line('report', 'models', 'a=BAD --ann {tiny/train.json} --out OUT/r.html', '.pkl'),
    Line('report', 'ann', '{found.pkl} --ann BAD --out OUT/r.html'),
    Line(
        'report', 'images', '{found.pkl} --ann {tiny/train.json} --images BAD --out OUT/r.html', ''
    ),
    Line(
        'report',
        'speed',
        '{found.pkl} --ann {tiny/train.json} --speed BAD --out OUT/r.html',
        '.csv',
    ),
    Line('predict', 'model', 'BAD {tiny/images} --out OUT', '.pth'),
    Line('predict', 'model', 'BAD {tiny/images} --out OUT', '.py'),
    Line('predict', 'model', 'BAD {tiny/images} --out OUT', '.onnx'),
    Line('predict', 'model', 'BAD {tiny/images} --out OUT', '.xml'),
    Line('predict', 'model', 'BAD {tiny/images} --out OUT', '.safetensors'),
    Line(
        'predict',
        'images',
        '{plain.py} BAD --weights {student.pth} --out OUT',
        '.jpg',
        True,
        FAILED_ONE,
    ),
    Line(
        'predict',
        'images',
        '{plain.py} BAD --weights {student.pth} --tile auto --out OUT',
        '.svs',
        True,
        FAILED_ONE,
        'openslide',
    ),
    Line('predict', 'weights', '{plain.py} {tiny/images} --weights BAD --out OUT', '.pth', True),
    Line(
        'predict',
        'val',
        '{plain.py} {tiny/images} --weights {student.pth} --val BAD '
        '--val-images {tiny/images} --out OUT',
        '.json',
        True,
    ),
    Line(
        'predict',
        'val_images',
        '{plain.py} {tiny/images} --weights {student.pth} --val '
        '{tiny/val.json} --val-images BAD --out OUT',
        '',
        True,
    ),
    Line(
        'predict',
        'ann_file',
        '{plain.py} {tiny/images} --weights {student.pth} --score-thr 0.5 --ann-file BAD --out OUT',
        '.json',
        True,
    ),
    Line('export', 'model', 'BAD --out OUT/a.onnx', '.pth'),
    Line('export', 'weights', '{plain.py} --weights BAD --out OUT/a.onnx', '.pth', True),
    Line(
        'export',
        'images',
        '{plain.py} --weights {student.pth} --out OUT/a.onnx --images BAD',
        '.jpg',
        True,
    ),
    Line('publish', 'model', 'BAD --out OUT/a.pth', '.pth'),
    Line('publish', 'weights', '{plain.py} --weights BAD --out OUT/a.pth', '.pth', True),
    Line(
        'publish',
        'test',
        '{plain.py} --weights {student.pth} --out OUT/a.pth --test BAD --test-images {tiny/images}',
        '.json',
        True,
    ),
    Line(
        'publish',
        'test_images',
        '{plain.py} --weights {student.pth} --out OUT/a.pth --test '
        '{tiny/val.json} --test-images BAD',
        '',
        True,
    ),
    Line('new', 'train', 'BAD --name x --data OUT/d --configs OUT/c --images {tiny/images}'),
    Line(
        'new', 'train', 'BAD --name x --data OUT/d --configs OUT/c --images {tiny/images}', '.xml'
    ),
    Line('new', 'val', '{tiny/train.json} BAD --name x --data OUT/d --configs OUT/c'),
    Line(
        'new', 'images', '{tiny/train.json} --name x --data OUT/d --configs OUT/c --images BAD', ''
    ),
    Line('doctor', 'annotations', 'BAD --images {tiny/images}'),
    # that images are missing is what the doctor finds
    Line('doctor', 'images', '{tiny/train.json} --images BAD', '', may=frozenset({'folder'})),
    Line('doctor', 'other', '{tiny/train.json} --other BAD'),
    Line('doctor', 'config', '{tiny/train.json} --annotations-only --config BAD', '.py'),
    Line('doctor', 'found', '{tiny/train.json} --annotations-only --found BAD', ''),
    Line(
        'doctor',
        'predictions',
        '{tiny/train.json} --annotations-only --predictions BAD --learned {learned.json}',
        '.pkl',
    ),
    Line(
        'doctor',
        'learned',
        '{tiny/train.json} --annotations-only --predictions {found.pkl} --learned BAD',
    ),
    Line('convert voc', 'root', 'BAD --out OUT', ''),
    Line(
        'convert yolo',
        'images',
        '--images BAD --labels {labels} --names {names.txt} --out OUT/a.json',
        '',
    ),
    Line(
        'convert yolo',
        'labels',
        '--images {tiny/images} --labels BAD --names {names.txt} --out OUT/a.json',
        '',
    ),
    Line(
        'convert yolo',
        'names',
        '--images {tiny/images} --labels {labels} --names BAD --out OUT/a.json',
        '.txt',
        may=ONE_CLASS,
    ),
    Line(
        'convert yolo',
        'names',
        '--images {tiny/images} --labels {labels} --names BAD --out OUT/a.json',
        '.yaml',
    ),
    Line('convert to-yolo', 'annotations', 'BAD --out OUT'),
    Line(
        'convert points', 'csv', 'BAD --images {tiny/images} --box-size 9 --out OUT/a.json', '.csv'
    ),
    Line('convert points', 'images', '{points.csv} --images BAD --box-size 9 --out OUT/a.json', ''),
    Line(
        'convert ccd',
        'train',
        '--train BAD --test {tiny/val.json} --images {tiny/images} --out OUT',
    ),
    Line(
        'convert ccd',
        'test',
        '--train {tiny/train.json} --test BAD --images {tiny/images} '
        '--classes lsil hsil scc --out OUT',
    ),
    Line(
        'convert ccd',
        'images',
        '--train {tiny/train.json} --test {tiny/val.json} --images BAD '
        '--classes lsil hsil scc --out OUT',
        '',
    ),
    Line('weaken', 'annotations', 'BAD --drop 0.5 --out OUT/a.json'),
    Line('weaken', 'images', '{tiny/train.json} --tiles 2 --images BAD --out OUT', ''),
    Line('find-missing', 'config', 'BAD --out OUT', '.py'),
    Line('hide', 'annotations', 'BAD --out OUT/a.json'),
    Line('mine', 'annotations', 'BAD {learned.json} {found.pkl} --out OUT/a.json'),
    Line('mine', 'learned', '{tiny/train.json} BAD {found.pkl} --out OUT/a.json'),
    Line('mine', 'predictions', '{tiny/train.json} {learned.json} BAD --out OUT/a.json', '.pkl'),
    Line('compose', 'crops', 'BAD --out OUT', ''),
    Line('browse', 'config', 'BAD --out OUT', '.py'),
    Line('browse-distillation', 'config', 'BAD --out OUT', '.py'),
    Line(
        'browse-distillation',
        'checkpoint',
        '{distilled.py} --checkpoint BAD --out OUT',
        '.pth',
        True,
    ),
    Line('browse-pseudo-boxes', 'config', 'BAD {mil.pth} --out-dir OUT', '.py'),
    Line('browse-pseudo-boxes', 'checkpoint', '{mil.py} BAD --out-dir OUT', '.pth', True),
    Line(
        'browse-pseudo-boxes',
        'truth',
        '{mil.py} {mil.pth} --truth BAD --out-dir OUT',
        '.json',
        True,
    ),
    Line('calibrate', 'config', 'BAD', '.py'),
    Line('calibrate', 'checkpoint', '{distilled.py} --checkpoint BAD', '.pth', True),
    Line('audit', 'source', 'BAD'),
    Line('audit', 'source', 'BAD', '.py'),
    Line('recall', 'config', 'BAD', '.py'),
    Line('recall', 'checkpoint', '{mil.py} BAD', '.pth', True),
    Line('recall', 'proposer', '{plain.py} --proposer BAD', '.npz', True),
    Line('recall', 'proposer', '{plain.py} --proposer BAD', '.json', True),
    Line('anchors', 'annotations', 'BAD --num 2'),
    Line('svm', 'config', 'BAD {student.pth} --out OUT/a.pth', '.py'),
    Line(
        'svm',
        'checkpoint',
        'rcnn/rcnn_mobilenetv2_bccd_svm.py BAD --out OUT/a.pth',
        '.pth',
        True,
        needs='sklearn',
    ),
    Line('vgg', 'weights', 'BAD OUT/a.pth', '.pth'),
    Line('darknet', 'weights', 'BAD OUT/a.pth', '.weights', True),
    Line('darknet', 'config', '{junk.weights} OUT/a.pth --config BAD', '.py'),
)

#: Arguments that name what is written; the two words after the name: a file or a folder.
WRITTEN: tuple[Line, ...] = (
    Line('train', 'work_dir', '{plain.py} --work-dir BAD', '', True),
    Line('test', 'work_dir', '{plain.py} {student.pth} --work-dir BAD', '', True),
    Line('test', 'out', '{plain.py} {student.pth} --work-dir OUT --out BAD', '.pkl', True),
    Line('test', 'show_dir', '{plain.py} {student.pth} --work-dir OUT --show-dir BAD', '', True),
    Line('compare', 'out', '{mine} --out BAD', ''),
    Line('half-the-boxes', 'out', '{distilled.py} --data x --out BAD', '', True),
    Line(
        'half-the-boxes', 'results', '{distilled.py} --data x --out OUT --results BAD', '.csv', True
    ),
    Line('report', 'out', '{found.pkl} --ann {tiny/train.json} --out BAD', '.html'),
    Line('report', 'csv', '{found.pkl} --ann {tiny/train.json} --out OUT/r.html --csv BAD', '.csv'),
    Line('demo', 'out', '--quick --out BAD', ''),
    Line('demo', 'picture', '--quick --out OUT --picture BAD', '.png'),
    Line('predict', 'out', '{plain.py} {tiny/images} --weights {student.pth} --out BAD', '', True),
    Line('export', 'out', '{plain.py} --weights {student.pth} --out BAD', '.onnx', True),
    Line('publish', 'out', '{plain.py} --weights {student.pth} --out BAD', '.pth', True),
    Line('new', 'data', '{tiny/train.json} --name x --configs OUT/c --data BAD', ''),
    Line('new', 'configs', '{tiny/train.json} --name x --data OUT/d --configs BAD', ''),
    Line('doctor', 'json', '{tiny/train.json} --annotations-only --json BAD'),
    Line('doctor', 'pictures', '{faulty.json} --images {tiny/images} --pictures BAD', ''),
    Line('convert voc', 'out', '{voc} --splits train --out BAD', ''),
    Line(
        'convert yolo',
        'out',
        '--images {tiny/images} --labels {labels} --names {names.txt} --out BAD',
    ),
    Line('convert to-yolo', 'out', '{tiny/train.json} --out BAD', ''),
    Line('convert points', 'out', '{points.csv} --images {tiny/images} --box-size 9 --out BAD'),
    Line(
        'convert ccd',
        'out',
        '--train {tiny/train.json} --test {tiny/val.json} --images '
        '{tiny/images} --classes lsil hsil scc --out BAD',
        '',
    ),
    Line('weaken', 'out', '{tiny/train.json} --drop 0.5 --out BAD'),
    Line('weaken', 'out', '{tiny/train.json} --tiles 2 --out BAD', ''),
    Line('find-missing', 'out', '{distilled.py} --out BAD', '', True),
    Line('hide', 'out', '{tiny/train.json} --fraction 0.5 --out BAD'),
    Line('mine', 'out', '{tiny/train.json} {learned.json} {found.pkl} --out BAD'),
    Line(
        'compose',
        'out',
        '{crops} --classes lsil hsil --num-train 1 --num-test 1 --size 64 --out BAD',
        '',
    ),
    Line('draw', 'out', '--num-train 1 --num-val 1 --size 64 --out BAD', ''),
    Line('browse', 'out', '{plain.py} -n 1 --out BAD', '', True),
    Line('browse-distillation', 'out', '{distilled.py} --num 1 --out BAD', '', True),
    Line('browse-pseudo-boxes', 'out_dir', '{mil.py} {mil.pth} --num 1 --out-dir BAD', '', True),
    Line('browse-pseudo-boxes', 'json', '{mil.py} {mil.pth} --num 1 --json BAD', '.json', True),
    Line('audit', 'csv', '{mine} --csv BAD', '.csv'),
    Line('recall', 'csv', '{plain.py} --proposer blobs --csv BAD', '.csv', True),
    Line('recall', 'save', '{plain.py} --proposer blobs --save BAD', '.npz', True),
    Line('anchors', 'csv', '{tiny/train.json} --num 2 --csv BAD', '.csv'),
    Line('svm', 'out', 'rcnn/rcnn_mobilenetv2_bccd_svm.py {student.pth} --out BAD', '.pth', True),
    Line('vgg', 'out', '{vgg.pth} BAD', '.pth'),
    Line('darknet', 'out', '{junk.weights} BAD', '.pth', True),
)

#: Texts that name no file.
NO_FILES = frozenset(
    'baseline bystanders_from cfg_options classes columns data device group levels mode models '
    'name options proposer report share splits target targets teacher test_files tile title'.split()
)
