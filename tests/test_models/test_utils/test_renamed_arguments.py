import pytest

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models.utils import refuse_old_arguments

INSTEAD = {'old': 'write new=...'}


def test_an_old_argument_is_explained():
    with pytest.raises(ConfigError, match='head.old is no argument any more: write new=...'):
        refuse_old_arguments('head', {'old': 1}, INSTEAD)


def test_an_unknown_one_is_a_type_error():
    with pytest.raises(TypeError, match="head got an unexpected argument 'odl'"):
        refuse_old_arguments('head', {'odl': 1}, INSTEAD)


def test_none_is_fine():
    refuse_old_arguments('head', {}, INSTEAD)
