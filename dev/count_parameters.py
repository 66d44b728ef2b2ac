"""Count the parameters of every system of docs/model_zoo.md's table of systems.

python dev/count_parameters.py    # writes results/parameters.csv; then python dev/model_zoo.py

Each model is built from its config on torch's meta device, without memory or weights, where it can
be. Those of training alone, distillation and MIL head, are counted apart.
"""

import os

import torch
import yaml
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config
from model_zoo import PARAMETERS, ROOT, SOURCE

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.engine.config_file import drop_teacher

TRAINING_ONLY = ('distillation.', 'mil_head.')


def build(path: str, device: str) -> torch.nn.Module:
    """A config's model, without its teacher, which is in no checkpoint."""
    model = Config.fromfile(ROOT / 'configs' / path).model
    drop_teacher(model)
    with torch.device(device):
        return MODELS.build(model)


def count(path: str) -> tuple[int, int]:
    """Parameters of a config's model, and those that it has at test."""
    try:
        built = build(path, 'meta')
    except RuntimeError:  # mmdet's EfficientNet reads a number from a tensor
        built = build(path, 'cpu')
    numbers = {name: p.numel() for name, p in built.named_parameters()}
    at_test = sum(n for name, n in numbers.items() if not name.startswith(TRAINING_ONLY))
    return sum(numbers.values()), at_test


def main() -> None:
    os.chdir(ROOT)
    register_all_modules()
    source = yaml.safe_load((ROOT / SOURCE).read_text(encoding='utf-8'))
    paths = [s[size] for s in source['systems'] for size in ('full', 'small') if s.get(size)]
    rows = []
    for path in dict.fromkeys(paths):
        whole, at_test = count(path)
        rows.append(dict(config=f'configs/{path}', parameters=whole, parameters_at_test=at_test))
        print(rows[-1], flush=True)
    write_csv(ROOT / PARAMETERS, records(rows))


if __name__ == '__main__':
    main()
