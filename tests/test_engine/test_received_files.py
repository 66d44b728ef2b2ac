"""YAML and pickle files that were received are data: nothing in them is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import mmengine
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.structures import InstanceData

from ldwsccd_mmdet.engine.config_file import load_config
from ldwsccd_mmdet.engine.received_config import read_config_file
from ldwsccd_mmdet.errors import ConfigError, DatasetError

TAGS = [
    "a: !!python/object/apply:os.mkdir ['MADE']\n",
    'a: !!python/object/new:os.mkdir [MADE]\n',
    'a: !!python/name:os.getcwd\n',
    'a: !!python/tuple [1, 2]\n',
]
BOMB = 'a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n' + ''.join(
    f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]\n' for i in range(1, 9)
)


@pytest.mark.parametrize('text', [*TAGS, BOMB, 'a: &a [*a]\n', 'a: [1\n'])
@pytest.mark.parametrize('base', [False, True])
def test_yaml_is_plain_values(tmp_path: Path, text: str, base: bool) -> None:
    file = tmp_path / 'a.yaml'
    file.write_text(text.replace('MADE', str(tmp_path / 'made')))
    if base:
        (tmp_path / 'b.py').write_text("_base_ = 'a.yaml'\n")
        file = tmp_path / 'b.py'
    with pytest.raises(ConfigError, match='YAML file') as caught:
        load_config(str(file))
    assert '\n' not in str(caught.value) and not (tmp_path / 'made').exists()


def test_plain_yaml_is_read(tmp_path: Path) -> None:
    (tmp_path / 'a.yml').write_text('work_dir: here\nrandomness: &r {seed: 3}\nother: *r\n')
    config = load_config(str(tmp_path / 'a.yml'))
    assert config.work_dir == 'here' and config.other.seed == 3
    mmengine.dump({'a': [1]}, tmp_path / 'b.yaml')
    assert mmengine.load(tmp_path / 'b.yaml') == {'a': [1]}


class Crafted:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_proposals_are_numbers(tmp_path: Path) -> None:
    """``proposal_file`` of a data set is read by ``mmengine.load``."""
    boxes = np.arange(8.0).reshape(2, 4)
    right = {'a.jpg': InstanceData(bboxes=boxes, scores=np.ones(2, np.float32))}
    mmengine.dump(right, tmp_path / 'right.pkl')
    found = mmengine.load(tmp_path / 'right.pkl')['a.jpg']
    np.testing.assert_array_equal(found.bboxes, boxes)
    again = pickle.loads(pickle.dumps(found))  # as a data set hands it to its workers
    assert type(again.bboxes) is np.ndarray
    np.testing.assert_array_equal(again.bboxes, boxes)

    for content in (pickle.dumps(Crafted(tmp_path / 'made')), b'', pickle.dumps(boxes)[:-20]):
        (tmp_path / 'wrong.pkl').write_bytes(content)
        # mmengine hands over the bytes, not the name
        with pytest.raises(DatasetError, match=r'the \.pkl file.* cannot be read as numbers'):
            mmengine.load(tmp_path / 'wrong.pkl')
    assert not (tmp_path / 'made').exists()


def test_config_of_a_received_folder_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / 'config.py'
    Config(dict(model=dict(type='A', sizes=(1, 2)), lr=float('inf'))).dump(file)
    assert read_config_file(file).model.sizes == (1, 2)
    made = tmp_path / 'made'
    for text in (f"import os\nos.mkdir('{made}')\n", "_base_ = 'evil.py'\n", 'a = open("x")\n'):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r'config\.py.*--trust-configs'):
            read_config_file(file)
    assert not made.exists()
