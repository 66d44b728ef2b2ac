#!/usr/bin/env bash
# Trains on a Slurm cluster: one torchrun a node, one process a GPU.
# Usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
set -euo pipefail

if [[ $# -lt 4 ]]; then
    echo "usage: [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=] [PY_ARGS=] [PORT=]" \
        "[PYTHON=python] $0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
    exit 2
fi
partition=$1
job_name=$2
config=$3
work_dir=$4
shift 4

gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-8}
((per_node <= gpus)) || per_node=$gpus
if ((gpus % per_node)); then
    echo "GPUS=$gpus is not a multiple of GPUS_PER_NODE=$per_node; change one of them" >&2
    exit 2
fi
nodes=$((gpus / per_node))

tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-$tools/../.venv/bin/python}
command -v "$python" >/dev/null || python=python3

# Both may hold several words, split as in mmdet's own script.
read -r -a srun_args <<<"${SRUN_ARGS:-}"
read -r -a py_args <<<"${PY_ARGS:-}"

# What each node runs: the first node of the job is the meeting point. The port goes by the job,
# so that two jobs on one node do not meet.
# shellcheck disable=SC2016
on_node='
python=$1; nodes=$2; per_node=$3; shift 3
master=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
exec "$python" -m ldwsccd.processes --nnodes="$nodes" --node_rank="$SLURM_NODEID" \
    --master_addr="$master" --master_port="${PORT:-$((29500 + SLURM_JOB_ID % 1000))}" \
    --nproc_per_node="$per_node" "$@"'

export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec srun -p "$partition" \
    --job-name="$job_name" \
    --gres="gpu:$per_node" \
    --nodes="$nodes" \
    --ntasks="$nodes" \
    --ntasks-per-node=1 \
    --cpus-per-task="$((${CPUS_PER_TASK:-5} * per_node))" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    bash -c "$on_node" bash "$python" "$nodes" "$per_node" \
    "$tools/train.py" "$config" --work-dir "$work_dir" --launcher pytorch \
    ${py_args[@]+"${py_args[@]}"} "$@"
