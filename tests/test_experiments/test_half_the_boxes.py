"""What the method gives where boxes are missing: the plan of the run, and its CSV."""

import csv

import pytest
from mmengine.config import Config

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.experiments.cell_mining import colours, distillation
from ldwsccd_mmdet.experiments.detector_stages import write_coco
from ldwsccd_mmdet.experiments.half_the_boxes import (
    COLUMNS,
    HalfTheBoxes,
    Settings,
    join_sets,
    merge_csv,
)


@pytest.fixture
def make(tmp_path):
    """``make(**settings)``: an experiment whose configs hold only what it looks at."""
    common = dict(
        train_cfg=dict(by_epoch=True, max_epochs=20),
        param_scheduler=[dict(type='CosineAnnealingLR', by_epoch=True, end=20, T_max=20)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        train_dataloader=dict(
            dataset=dict(data_root='data/x/', ann_file='train.json', data_prefix=dict(img='images'))
        ),
        test_dataloader=dict(
            dataset=dict(data_root='data/x/', ann_file='test.json', data_prefix=dict(img='images'))
        ),
    )
    teacher, method = tmp_path / 'teacher.py', tmp_path / 'method.py'
    Config(dict(common, model=dict(type='SingleStageDetector'))).dump(teacher)
    model = dict(
        type='LDWSCCD',
        teacher=dict(config=str(teacher), checkpoint='x.pth'),
        distillation=dict(type='LocalDistillationLoss'),
        mil_head=dict(type='MILRefinementHead'),
    )
    Config(dict(common, model=model)).dump(method)

    def build(**kwargs):
        settings = dict(
            config=method, data='x', out=tmp_path / 'out', results=tmp_path / 'half_the_boxes.csv'
        )
        return HalfTheBoxes(Settings(**{**settings, **kwargs}))

    return build


def give_ssd_heads(folder):
    """Let the teacher and the student of the fixture's configs have heads of SSD."""
    head = dict(bbox_head=dict(type='SSDStudentHead', num_classes=1))
    for name in ('teacher.py', 'method.py'):
        config = Config.fromfile(folder / name)
        config.merge_from_dict(dict(model=head))
        config.dump(folder / name)


def stage(experiment, name):
    (found,) = [s for s in experiment.runner.stages if s.name == name]
    return found


def test_each_stage_comes_after_those_it_needs(make):
    stages = make().runner.stages
    names = [s.name for s in stages]
    assert len(set(names)) == len(names)
    for number, one in enumerate(stages):
        assert all(names.index(need.name) < number for need in one.needs)
    # 9 shares and seeds, of which each has a teacher, two SSDs and LD-WSCCD by three score sources
    assert sum('/tests/' in name for name in names) == 9 * (1 + 2 + 3)


def test_only_what_has_a_part_of_the_method_learns_mined_cells(make):
    models = ('teacher', 'ssd', 'ssd_ldm', 'ssd_mil', 'ldwsccd')
    experiment = make(boxes_kept=[0.5], seeds=[1], models=models)
    name = 'kept_0.5/seed_1'
    configs = {m: stage(experiment, f'{name}/{m}').settings['config'] for m in models}
    for model, config in configs.items():
        data = config['train_dataloader']['dataset']
        assert ('mined_file' in data) == (model not in ('ssd', 'teacher'))
        labels = 'hidden/learned.json' if model == 'teacher' else 'labels/train.json'
        assert data['ann_file'].endswith(f'{name}/{labels}')
        assert config['randomness'] == dict(seed=1)
        assert config['val_dataloader'] is None
    parts = {
        m: [bool(c['model'].get(p)) for p in ('teacher', 'distillation', 'mil_head')]
        for m, c in configs.items()
    }
    assert parts['ssd'] == [False] * 3
    assert parts['ssd_ldm'] == [True, True, False]
    assert parts['ssd_mil'] == [False, False, True]
    assert parts['ldwsccd'] == [True] * 3
    teacher = configs['ldwsccd']['model']['teacher']
    assert teacher['checkpoint'].endswith(f'{name}/teacher/epoch_20.pth')
    mined = stage(experiment, f'{name}/mined')
    assert mined in stage(experiment, f'{name}/ssd_mil').needs
    assert mined not in stage(experiment, f'{name}/ssd').needs


def test_the_teachers_scores_teach_as_the_config_says(make, tmp_path):
    """And no model that has no teacher."""
    path = tmp_path / 'method.py'
    config = Config.fromfile(path)
    taught = dict(type='LogitDistillationLoss')
    config.model.logit_distillation = taught
    config.dump(path)
    models = ['ssd', 'ssd_ldm', 'ssd_mil', 'ldwsccd']
    experiment = make(models=models, seeds=[0], boxes_kept=[1])
    for model in models:
        of = stage(experiment, f'kept_1/seed_0/{model}').settings['config']['model']
        assert of['logit_distillation'] == (taught if of['teacher'] else None), model
    shown = {row['model']: row['distillation'] for _, row in experiment.rows}
    by = 'alpha 0.2, beta 0.1, gamma 0.1, logits'
    assert shown == dict(ssd='', ssd_ldm=by, ssd_mil='', ldwsccd=by)


@pytest.mark.parametrize(
    ('loss', 'shown'),
    [
        (dict(type='LocalDistillationLoss', alpha=0.5), 'alpha 0.5, beta 0.1, gamma 0.1'),
        (dict(type='LocalDistillationLoss', share=0.3), 'share 0.3'),
        (dict(type='FeatureImitationLoss'), 'FeatureImitationLoss'),
        (None, ''),
    ],
)
def test_what_teaches_is_named(loss, shown):
    config = Config(dict(model=dict(teacher=dict(config='x'), distillation=loss)))
    assert distillation(config) == shown
    config.model.teacher = None
    assert distillation(config) == ''


def test_ssd_alone_needs_no_teacher(make):
    names = [s.name for s in make(models=['ssd'], seeds=[0], boxes_kept=[1]).runner.stages]
    assert [n.split('/')[-1] for n in names] == ['test_set', 'labels', 'ssd', 'ssd_ssd']


def test_a_student_looks_in_the_second_round_and_learns_what_the_teacher_found(make):
    once = make(models=['teacher', 'ldwsccd'], seeds=[0], boxes_kept=[0.5])
    twice = make(models=['teacher', 'ssd', 'ldwsccd'], seeds=[0], boxes_kept=[0.5], rounds=2)
    name = 'kept_0.5/seed_0'
    first, second = (stage(twice, f'{name}/{n}') for n in ('teacher', 'student'))
    assert first.key == stage(once, f'{name}/teacher').key  # done once for both
    data = second.settings['config']['train_dataloader']['dataset']
    assert data['ann_file'].endswith(f'{name}/hidden/learned.json')
    assert data['mined_file'].endswith(f'{name}/taught/mined.json')
    assert second.settings['config']['model']['mil_head']  # the whole method
    finds = stage(twice, f'{name}/finds_2')
    assert finds.needs == [second]
    assert 'mined_file' not in first.settings['config']['train_dataloader']['dataset']
    student = stage(twice, f'{name}/ldwsccd_2').settings['config']
    assert student['train_dataloader']['dataset']['mined_file'].endswith(
        f'{name}/mined_2/mined.json'
    )
    for looks in (student, second.settings['config']):
        assert looks['model']['teacher']['checkpoint'].endswith(f'{name}/teacher/epoch_20.pth')
    assert {(row['model'], row['rounds']) for _, row in twice.rows} == {
        ('teacher', 1),
        ('ssd', 0),
        ('ldwsccd', 2),
    }


def test_where_no_box_is_missing_nobody_looks_and_negatives_are_hard(make, tmp_path):
    give_ssd_heads(tmp_path)
    models = ['teacher', 'ssd', 'ldwsccd']
    once, none = (make(models=models, seeds=[3], boxes_kept=[1], rounds=n) for n in (1, 0))
    name = 'kept_1/seed_3'
    names = [s.name.removeprefix(f'{name}/') for s in none.runner.stages]
    assert names[:5] == ['test_set', 'labels', 'teacher_0', 'tests/teacher_0_ssd', 'ssd']
    assert names[6] == 'ldwsccd_0' and not any('mined' in n or 'hidden' in n for n in names)
    assert stage(none, f'{name}/ssd').key == stage(once, f'{name}/ssd').key  # done once for both
    for model in ('teacher_0', 'ldwsccd_0'):
        config = stage(none, f'{name}/{model}').settings['config']
        data = config['train_dataloader']['dataset']
        assert data['ann_file'].endswith(f'{name}/labels/train.json') and 'mined_file' not in data
        assert 'far_weight' not in config['model']['bbox_head']
    taught = stage(none, f'{name}/ldwsccd_0')
    assert taught.settings['config']['model']['teacher']['checkpoint'].endswith(
        f'{name}/teacher_0/epoch_20.pth'
    )
    assert stage(none, f'{name}/teacher_0') in taught.needs
    assert {(row['model'], row['rounds'], row['negatives']) for _, row in none.rows} == {
        (model, 0, 'hard') for model in models
    }
    assert none.mined == []


def test_all_but_the_plain_ssd_learn_all_of_the_background(make, tmp_path):
    """To them some cells have no box; a head of another kind is left as it is."""
    give_ssd_heads(tmp_path)

    models = ['teacher', 'ssd', 'ssd_all_negatives', 'ldwsccd']

    def weights(**settings):
        run = make(seeds=[0], boxes_kept=[0.5], rounds=2, models=models, **settings)
        names = ('teacher', 'student', 'ssd', 'ssd_all_negatives', 'ldwsccd_2')
        configs = [stage(run, f'kept_0.5/seed_0/{n}').settings['config'] for n in names]
        return [config['model']['bbox_head'].get('far_weight') for config in configs]

    assert weights() == [0.1, 0.1, None, 0.1, 0.1]
    shown = {row['model']: row['negatives'] for _, row in make(seeds=[0], models=models).rows}
    soft = 'all, far 0.1'
    assert shown == dict(teacher=soft, ssd='hard', ssd_all_negatives=soft, ldwsccd=soft)
    assert weights(options={'model.bbox_head.far_weight': 1}) == [1] * 5
    assert weights(options={'model.bbox_head.type': 'RetinaHead'}) == [None] * 5


def test_the_plain_ssds_need_no_teacher(make):
    run = make(seeds=[0], boxes_kept=[0.5], models=['ssd', 'ssd_all_negatives'], rounds=2)
    names = [stage.name for stage in run.runner.stages]
    assert not any('teacher' in name or 'mined' in name for name in names)
    assert {(row['model'], row['rounds']) for _, row in run.rows} == {
        ('ssd', 0),
        ('ssd_all_negatives', 0),
    }


def test_judges_what_was_mined(make, tmp_path):
    experiment = make(models=['ldwsccd'], seeds=[0, 1], boxes_kept=[0.5])
    boxes = [
        dict(id=n, image_id=1, category_id=1, bbox=[20 * n, 0, 10, 10], area=100, iscrowd=0)
        for n in range(1, 5)
    ]
    coco = dict(
        images=[dict(id=1, file_name='a.png', width=200, height=20)],
        categories=[dict(id=1, name='a')],
        annotations=boxes,
    )
    experiment.root = tmp_path / 'data'
    write_coco(tmp_path / 'data' / 'train.json', coco)
    labels = stage(experiment, 'kept_0.5/seed_0/labels').outputs[0]
    write_coco(labels, dict(coco, annotations=boxes[:2]))
    found = dict(
        coco,
        annotations=[dict(boxes[3], prob=0.9)],
        info=dict(mined=[dict(name='a', kept_share=0.4, expected=0.9)]),
    )
    write_coco(stage(experiment, 'kept_0.5/seed_0/mined').outputs[0], found)
    experiment._write_mined()  # seed 1 is not mined yet
    (row,) = csv.DictReader((tmp_path / 'mined_boxes.csv').open())
    wanted = dict(seed='0', rounds='1', boxes_kept='0.5', taken_away='2', recall='0.50')
    assert {key: row[key] for key in wanted} == wanted


def test_epochs_go_with_their_schedule(make):
    experiment = make(epochs=3, models=['ssd'], seeds=[0], boxes_kept=[1])
    config = stage(experiment, 'kept_1/seed_0/ssd').settings['config']
    assert config['train_cfg']['max_epochs'] == 3
    assert config['param_scheduler'][0]['T_max'] == 3


def test_refuses_unknown_models_and_configs_without_the_method(make, tmp_path):
    with pytest.raises(ConfigError, match='found yolo'):
        make(models=['yolo'])
    with pytest.raises(ConfigError, match=r'no model\.teacher'):
        make(config=tmp_path / 'teacher.py')


def test_joins_sets():
    categories = [{'id': 4, 'name': 'a'}]
    box = {'category_id': 4, 'bbox': [0, 0, 1, 1]}
    one = dict(
        categories=categories,
        images=[{'id': 7, 'file_name': 'a'}],
        annotations=[{**box, 'id': 1, 'image_id': 7}],
    )
    two = dict(
        categories=categories,
        images=[{'id': 7, 'file_name': 'b'}, {'id': 8, 'file_name': 'c'}],
        annotations=[{**box, 'id': 1, 'image_id': 8}],
    )
    joined = join_sets([one, two])
    assert [image['id'] for image in joined['images']] == [1, 2, 3]
    assert [(a['id'], a['image_id']) for a in joined['annotations']] == [(1, 1), (2, 3)]
    with pytest.raises(ConfigError, match='categories'):
        join_sets([one, {**two, 'categories': []}])


@pytest.mark.parametrize(
    ('steps', 'shown'),
    [
        (['Resize', 'PhotoMetricDistortion'], 'changing places'),
        (['Resize', 'StainDistortion'], 'in order'),
        ([], 'in order'),
    ],
)
def test_csv_says_whether_colours_keep_their_order(steps, shown):
    dataset = dict(pipeline=[dict(type=step) for step in steps])
    assert colours(Config(dict(train_dataloader=dict(dataset=dataset)))) == shown


def test_csv_of_an_earlier_version_lacks_a_column(tmp_path):
    path = tmp_path / 'half_the_boxes.csv'
    earlier = [name for name in COLUMNS if name not in ('negatives', 'distillation', 'colours')]
    row = dict(
        zip(COLUMNS, ('a', '0.5', 'ssd', 0, '', '', '', 'ssd', 0, 20, 'val', '10'), strict=True)
    )
    merge_csv(path, [{name: row[name] for name in earlier}], earlier)
    looked = {**row, 'model': 'ldwsccd', 'negatives': 'all'}
    merge_csv(path, [{**row, 'AP50': '11'}, looked], COLUMNS)
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['model'], r['negatives'], r['AP50']) for r in rows] == [
        ('ssd', '', '11'),
        ('ldwsccd', 'all', '10'),
    ]


def test_csv_keeps_other_rows_and_takes_new_numbers(tmp_path):
    path = tmp_path / 'results' / 'half_the_boxes.csv'

    def row(data, ap50, **more):
        values = (data, '0.5', 'ssd', 0, '', '', '', 'ssd', 0, 20, 'val+test', ap50)
        return {**dict(zip(COLUMNS, values, strict=True)), **more}

    merge_csv(path, [row('a', '10.0', lsil='5.0')], COLUMNS)
    merge_csv(path, [row('b', '20.0', rbc='7.0'), row('a', '11.0', lsil='6.0')], COLUMNS)
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert [(r['data'], r['AP50'], r['lsil'], r['rbc']) for r in rows] == [
        ('a', '11.0', '6.0', ''),
        ('b', '20.0', '', '7.0'),
    ]
