"""Every argument of every class of this package, misspelt or of a value that can't be meant."""

from __future__ import annotations

from collections import defaultdict

import pytest
from mmengine.config import Config

from ldwsccd_mmdet.engine.config_check import check_config
from ldwsccd_mmdet.errors import ConfigError
from tests.test_bad_inputs.keys import Case, cases, own_classes

BY_CLASS: dict[str, list[Case]] = defaultdict(list)
for _case in cases():
    BY_CLASS[_case.kind].append(_case)


def fault_of(case: Case) -> str:
    """What is wrong with how a wrong argument is said; empty where it is one line with its key."""
    config = Config(dict(custom_hooks=[{'type': case.kind, case.name: case.value}]))
    try:
        check_config(config)
    except ConfigError as error:
        said = str(error)
    else:
        return f'{case} is taken'
    named = said.startswith(f'custom_hooks.0.{case.name}')
    right = case.fault != 'misspelt' or f"'{case.name[:-1]}' is near" in said
    return '' if named and right and '\n' not in said and len(said) < 900 else f'{case}: {said}'


@pytest.mark.parametrize('kind', BY_CLASS)
def test_one_line_names_the_key(kind: str) -> None:
    assert list(filter(None, map(fault_of, BY_CLASS[kind]))) == []


def test_there_are_many() -> None:
    """How many stands in docs/reliability.md."""
    assert len(BY_CLASS) > 50 and sum(map(len, BY_CLASS.values())) > 2000
    assert set(BY_CLASS) <= set(own_classes())
