#!/usr/bin/env bash
# Trains on several GPUs (or CPU processes) of one or more machines, with torchrun (`ldwsccd.processes`).
# Usage: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# On several machines, run it on each with NNODES, NODE_RANK, MASTER_ADDR and PORT set.
set -euo pipefail

if [[ $# -lt 2 || ! $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "usage: [NNODES=1] [NODE_RANK=0] [MASTER_ADDR=127.0.0.1] [PORT=29500] [PYTHON=python]" \
        "$0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
shift 2

tools=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-$tools/../.venv/bin/python}
command -v "$python" >/dev/null || python=python3

# One OpenMP thread a process, as torchrun itself would set it: more of them fight for the cores.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$python" -m ldwsccd.processes \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
