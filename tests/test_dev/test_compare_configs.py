"""The comparison of resolved configs finds what differs, and nothing else."""

from __future__ import annotations

import pytest

from dev.compare_configs import ABSENT, compare, leaves


@pytest.fixture
def trees(tmp_path):
    """Two trees of configs: ``_base_`` folders are left out, helper names too."""
    old, new = tmp_path / 'old', tmp_path / 'new'
    for folder, name, text in (
        (old, 'a.py', 'n = 1\nmodel = dict(width=n, parts=[dict(k=1), dict(k=2)], sizes=(1, 2))\n'),
        (old, 'gone.py', 'model = dict()\n'),
        (
            new,
            'm/a.py',
            'm = 1\nmodel = dict(width=2, parts=[dict(k=1), dict(k=3)], sizes=[1, 2])\n',
        ),
        (new, 'm/more.py', 'model = dict()\n'),
        (new, '_base_/part.py', 'part = dict()\n'),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding='utf-8')
    return old, new


def test_differences(trees):
    found, gone, added = compare(*trees, {'a.py': 'm/a.py'})
    assert dict(found) == {
        ('model.width', '1', '2'): ['m/a.py'],
        ('model.parts[1].k', '2', '3'): ['m/a.py'],
    }
    assert gone == ['gone.py']
    assert added == ['m/more.py']


def test_a_key_on_one_side_is_a_difference(trees):
    old, new = trees
    (new / 'm/a.py').write_text('model = dict(width=1)\nload_from = None\n', encoding='utf-8')
    found, _, _ = compare(old, new, {'a.py': 'm/a.py'})
    assert ('load_from', repr(ABSENT), 'None') in found


def test_bases_are_no_configs(trees):
    assert leaves(trees[1]) == ['m/a.py', 'm/more.py']
