r"""Size, operations and CPU latency of detectors, each measured in one process with the others.

    python benchmarks/models.py configs/*/*_adamw_ccd.py    # writes results/speed_models.csv
    python benchmarks/models.py configs/ldwsccd/{ssd256-narrow,ldwsccd_ssd256-narrow}_bccd.py \
        configs/[cdfry]*/*_bccd.py --csv results/speed_models_bccd.csv

Each model is built from its config with random weights, in eval mode. GFLOPs are what mmengine's
get_model_complexity_info counts for one image: multiply-adds of convolutions and matrices, norms
and interpolations where it knows them, not of activations. The latency is that of the network on
one image, from the normalised tensor to the raw maps of the head (two-stage models: with their
regions). What follows, scores, boxes and NMS, depends on the weights and is not in it. The models
take turns, one image each in random order, so that all see the same machine; medians. Then
python dev/model_zoo.py puts the table into docs/model_zoo.md.
"""

import argparse
import os
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from torch import Tensor, nn
from turns import conditions, parse_timed, quartiles, time_in_turns

import ldwsccd_mmdet  # noqa: F401
from ldwsccd_mmdet.csv_table import records, write_csv
from ldwsccd_mmdet.engine.config_file import drop_teacher
from ldwsccd_mmdet.experiments.report.model_facts import (
    augmentation,
    image_size,
    schedule,
    starting_weights,
)

ROOT = Path(__file__).resolve().parents[1]
CSV = ROOT / 'results' / 'speed_models.csv'
TRAINING_ONLY = ('distillation.', 'mil_head.')


def tensors(outputs) -> list[Tensor]:
    """All tensors in nested lists, tuples and dicts."""
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    if isinstance(outputs, (list, tuple)):
        return [tensor for part in outputs for tensor in tensors(part)]
    return []


class Network(nn.Module):
    """The raw outputs of a detector for one image."""

    def __init__(self, detector: nn.Module, size: tuple[int, int]) -> None:
        super().__init__()
        self.detector = detector
        self.meta = dict(
            img_id=0,
            img_path='',
            img_shape=size,
            ori_shape=size,
            pad_shape=size,
            batch_input_shape=size,
            scale_factor=(1.0, 1.0),
            border=(0, size[0], 0, size[1]),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        sample = DetDataSample(metainfo=self.meta)
        return tuple(tensors(self.detector(x, [sample], mode='tensor')))


def build(path: Path) -> tuple[dict[str, str], Network, Tensor]:
    config = Config.fromfile(path)
    facts = dict(
        augmentation=augmentation(config),
        schedule=schedule(config),
        starts_from=starting_weights(config),
    )
    for part in config.model.values():
        if isinstance(part, dict) and 'init_cfg' in part:
            part['init_cfg'] = None
    drop_teacher(config.model)  # needed in training only, as are its losses
    torch.manual_seed(0)
    detector = MODELS.build(config.model)
    detector.init_weights()
    width, height = image_size(config)
    divisor = config.model.data_preprocessor.get('pad_size_divisor', 1)
    size = tuple(-(-side // divisor) * divisor for side in (height, width))
    return facts, Network(detector.eval(), size).eval(), torch.randn(1, 3, *size)


def count(network: Network, x: Tensor) -> dict[str, float]:
    numbers = {name: p.numel() for name, p in network.detector.named_parameters()}
    at_test = sum(n for name, n in numbers.items() if not name.startswith(TRAINING_ONLY))
    info = get_model_complexity_info(network, inputs=(x,), show_table=False, show_arch=False)
    return dict(
        parameters_m=round(sum(numbers.values()) / 1e6, 2),
        parameters_at_test_m=round(at_test / 1e6, 2),
        gflops=round(info['flops'] / 1e9, 2),
    )


def markdown(rows: list[dict]) -> str:
    keys = ['model', 'input', 'parameters_m', 'gflops', 'latency_ms']
    lines = ['| ' + ' | '.join(keys) + ' |', '|' + '---|' * len(keys)]
    lines += ['| ' + ' | '.join(str(row[key]) for key in keys) + ' |' for row in rows]
    return '\n'.join(lines)


def find_configs(paths: list[str], names: list[str] | None) -> dict[str, Path]:
    """Configs, files or those of folders, by name; only those that are asked for."""
    found: dict[str, Path] = {}
    for path in map(Path, paths):
        for file in sorted(path.glob('*.py')) if path.is_dir() else [path]:
            if not file.is_file() or found.setdefault(file.stem, file) != file:
                raise SystemExit(f'error: {file}: no such file, or a second one of this name')
    if not found or set(names or ()) - set(found):
        listed = ', '.join(found) or 'no config'
        raise SystemExit(f'error: found {listed}, asked for {names or "any"}')
    return {name: found[name] for name in names or found}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('configs', nargs='+', help='files, or folders of them')
    add('--models', nargs='+', metavar='NAME', help='only these of them')
    args = parse_timed(parser, CSV)
    os.chdir(ROOT)
    register_all_modules()

    networks, rows = {}, []
    for name, path in find_configs(args.configs, args.models).items():
        facts, network, x = build(path)
        rows.append(
            dict(
                model=name,
                config=path.as_posix(),
                input=f'{x.shape[3]} x {x.shape[2]}',
                **facts,
                **count(network, x),
            )
        )
        networks[name] = (network, x)
        print({key: rows[-1][key] for key in ('model', 'input', 'parameters_m', 'gflops')})
    # the maps themselves would fill the memory
    calls = {name: lambda _, n=n, x=x: len(n(x)) for name, (n, x) in networks.items()}
    with torch.inference_mode():
        times, _ = time_in_turns(calls, args.runs)
    command = (
        f'python benchmarks/models.py {" ".join(args.configs)} --runs {args.runs} '
        f'--threads {args.threads}'
    )
    for row in rows:
        row.update(quartiles(times[row['model']]))
        row.update(conditions(args.runs, args.threads, len(rows)), command=command)
    print(markdown(rows))
    write_csv(args.csv, records(rows))


if __name__ == '__main__':
    main()
