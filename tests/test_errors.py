import pytest

from ldwsccd_mmdet.errors import ConfigError, check_argument


def test_one_sentence_for_all_arguments():
    check_argument(True, 'A.b', 'anything', None)
    with pytest.raises(ConfigError, match=r"^A\.b: expected 'x' or 'y', found 'z'$"):
        check_argument(False, 'A.b', "'x' or 'y'", 'z')
    with pytest.raises(ConfigError, match=r'found 0; take more$'):
        check_argument(False, 'A.n', '1 or more', 0, 'take more')
