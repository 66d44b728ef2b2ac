"""What the launch scripts start, seen by stand-ins for python and srun."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools'
BASH = shutil.which('bash')
pytestmark = pytest.mark.skipif(BASH is None, reason='needs bash')


@pytest.fixture
def launch(tmp_path):
    """Runs a script with a `python` that prints its arguments, and a Slurm that runs one node."""
    stand_ins = {
        'python': 'printf "%s\\n" "$@"\n',
        # srun: its own options, up to `bash`, then the command.
        'srun': 'while [ "$1" != bash ]; do echo "srun $1"; shift; done\nexec "$@"\n',
        'scontrol': 'echo node7\necho node8\n',
    }
    for name, body in stand_ins.items():
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\n{body}')
        path.chmod(0o755)

    def run(script, *arguments, **env):
        return subprocess.run(
            [BASH, str(TOOLS / script), *arguments],
            capture_output=True,
            text=True,
            env={
                'PATH': f'{tmp_path}{os.pathsep}{os.environ["PATH"]}',
                'PYTHON': str(tmp_path / 'python'),
                'SLURM_JOB_NODELIST': 'node[7-8]',
                'SLURM_NODEID': '1',
                'SLURM_JOB_ID': '41234',
                **env,
            },
        )

    return run


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', []),
        ('dist_train.sh', ['config.py']),
        ('dist_train.sh', ['config.py', 'two']),
        ('dist_test.sh', ['config.py', 'checkpoint.pth']),
        ('dist_test.sh', ['config.py', '2', 'checkpoint.pth']),
        ('slurm_train.sh', ['partition', 'job', 'config.py']),
        ('slurm_test.sh', ['partition', 'job', 'config.py']),
    ],
)
def test_missing_arguments_give_one_usage_line(launch, script, arguments):
    done = launch(script, *arguments)
    assert done.returncode == 2 and done.stdout == ''
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith('usage: ') and script in done.stderr


def test_dist_train(launch):
    done = launch('dist_train.sh', 'my config.py', '4', '--cfg-options', 'a=1 2', PORT='1234')
    assert done.stdout.splitlines() == [
        *['-m', 'ldwsccd.processes', '--nnodes=1', '--node_rank=0'],
        *['--master_addr=127.0.0.1', '--master_port=1234', '--nproc_per_node=4'],
        *[str(TOOLS / 'train.py'), 'my config.py', '--launcher', 'pytorch'],
        *['--cfg-options', 'a=1 2'],
    ]


def test_dist_test_on_the_second_of_two_machines(launch):
    env = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1')
    done = launch('dist_test.sh', 'config.py', 'epoch_1.pth', '8', '--out', 'r.pkl', **env)
    assert done.stdout.splitlines() == [
        *['-m', 'ldwsccd.processes', '--nnodes=2', '--node_rank=1'],
        *['--master_addr=10.0.0.1', '--master_port=29500', '--nproc_per_node=8'],
        *[str(TOOLS / 'test.py'), 'config.py', 'epoch_1.pth', '--launcher', 'pytorch'],
        *['--out', 'r.pkl'],
    ]


def test_slurm_train(launch):
    env = dict(GPUS='16', CPUS_PER_TASK='4', SRUN_ARGS='--mem=8G -q fast', PY_ARGS='--amp --resume')
    done = launch('slurm_train.sh', 'gpu', 'my job', 'config.py', 'work_dirs/a', '--x', **env)
    assert done.stdout.splitlines() == [
        *['srun -p', 'srun gpu', 'srun --job-name=my job', 'srun --gres=gpu:8', 'srun --nodes=2'],
        *['srun --ntasks=2', 'srun --ntasks-per-node=1', 'srun --cpus-per-task=32'],
        *['srun --kill-on-bad-exit=1', 'srun --mem=8G', 'srun -q', 'srun fast'],
        *['-m', 'ldwsccd.processes', '--nnodes=2', '--node_rank=1', '--master_addr=node7'],
        *['--master_port=29734', '--nproc_per_node=8', str(TOOLS / 'train.py'), 'config.py'],
        *['--work-dir', 'work_dirs/a', '--launcher', 'pytorch', '--amp', '--resume', '--x'],
    ]


def test_slurm_test_on_part_of_a_node(launch):
    done = launch('slurm_test.sh', 'gpu', 'job', 'config.py', 'epoch_1.pth', GPUS='2', PORT='5000')
    lines = done.stdout.splitlines()
    assert 'srun --nodes=1' in lines and 'srun --gres=gpu:2' in lines
    assert '--nproc_per_node=2' in lines and '--master_port=5000' in lines
    assert lines[lines.index(str(TOOLS / 'test.py')) :] == [
        *[str(TOOLS / 'test.py'), 'config.py', 'epoch_1.pth', '--launcher', 'pytorch'],
    ]


def test_slurm_gpus_must_fill_the_nodes(launch):
    done = launch('slurm_train.sh', 'gpu', 'job', 'config.py', 'work_dirs/a', GPUS='12')
    assert done.returncode == 2
    assert done.stderr == 'GPUS=12 is not a multiple of GPUS_PER_NODE=8; change one of them\n'
