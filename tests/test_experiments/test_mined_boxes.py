from ldwsccd_mmdet.experiments.mined_boxes import judge_mined_boxes


def box(number, x, category=3, **more):
    return dict(id=number, image_id=1, category_id=category, bbox=[x, 0, 10, 10], **more)


def test_counts_what_was_taken_away_once():
    complete = dict(annotations=[box(1, 0), box(2, 20), box(3, 40), box(4, 60), box(5, 0, 8)])
    kept = dict(annotations=[box(1, 0), box(5, 0, 8)])
    finds = [
        box(1, 20, prob=0.6),
        box(2, 21, prob=0.9),  # the same cell, found again
        box(3, 41, prob=0.5),
        box(4, 66, prob=0.4),  # not sure, and badly framed
        box(5, 0, prob=0.9),  # a box that was left
    ]
    mined = dict(
        categories=[dict(id=3, name='a'), dict(id=8, name='b')],
        annotations=finds,
        info=dict(mined=[dict(kept_share=0.5, expected=3.2), dict(kept_share=1.0, expected=0.0)]),
    )
    one, two = judge_mined_boxes(complete, kept, mined)
    assert one == {
        'class': 'a',
        'kept_share': '0.50',
        'taken_away': 3,
        'finds': 5,
        'expected': '3',
        'sure': 4,
        'precision': '0.50',
        'recall': '0.67',
        'touching': '0.80',
        'framed': '0.60',
    }
    assert (two['finds'], two['taken_away'], two['precision'], two['recall']) == (0, 0, '', '')
