"""Started twice by torchrun: two steps of each config given, on drawn data. Ends at an error.

python -m torch.distributed.run --nproc_per_node 2 tests/two_steps.py OUT CONFIG...
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, get_rank

from ldwsccd.config import build_runner, check_classes, set_launcher
from ldwsccd_mmdet.datasets import CervicalCellDataset
from ldwsccd_mmdet.datasets.plain_dataset import innermost
from ldwsccd_mmdet.engine.config_file import load_config

SIZE = 384  # leaves every student its levels; CornerNet wants a multiple of 128


def classes_of(config: Config) -> tuple[str, ...]:
    metainfo = innermost(config.train_dataloader.dataset).get('metainfo') or {}
    return tuple(metainfo.get('classes') or CervicalCellDataset.METAINFO['classes'])


def without_weights(part: Any) -> None:
    """No network in a test."""
    for value in part.values() if isinstance(part, dict) else part:
        if isinstance(value, (dict, list, tuple)):
            without_weights(value)
    init_cfg = part.get('init_cfg') if isinstance(part, dict) else None
    if isinstance(init_cfg, dict) and init_cfg.get('type') == 'Pretrained':
        part['init_cfg'] = None


def give_teacher(config: Config, file: Path) -> None:
    """Random weights for the teacher that a config names; one process writes them."""
    teacher = load_config(config.model.teacher.config).model
    without_weights(teacher)
    if get_rank() == 0:
        torch.save(dict(state_dict=MODELS.build(teacher).state_dict()), file)
    broadcast_object_list([None])  # it is there
    config.model.teacher.update(config=dict(model=teacher), checkpoint=str(file))


def size_of(config: Config) -> int:
    """The side of an image; a connected layer fits one alone."""
    head = config.model.get('bbox_head') or {}
    if head.get('type') == 'YOLOv1Head':
        return int(head.get('side', 7) * head.get('stride', 64))
    return SIZE


def use(config: Config, root: Path, size: int) -> None:
    """Two steps on the drawn data, each process two images at a time.

    One is too few for the batch norm of DSOD's last map, which has one cell.
    """
    loader = config.train_dataloader
    part = innermost(loader.dataset)
    part.update(data_root=str(root), ann_file='train.json', data_prefix=dict(img='images/'))
    for key in ('mined_file', 'image_labels_file'):
        part.pop(key, None)
    for settings in {id(loader.dataset): loader.dataset, id(part): part}.values():
        for step in settings.get('pipeline') or ():
            for key in ('scale', 'img_scale', 'crop_size'):
                if key in step:
                    step[key] = (size, size)
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    config.train_cfg = ConfigDict(type='IterBasedTrainLoop', max_iters=2, val_interval=9)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    for key in ('test_dataloader', 'test_cfg', 'test_evaluator'):
        config[key] = None
    config.param_scheduler = None
    config.custom_hooks = []
    config.default_hooks.pop('collapse_watch', None)  # it looks at the validation set
    config.default_hooks.checkpoint = ConfigDict(type='CheckpointHook', interval=-1)


def two_steps(file: str, out: Path) -> None:
    config = load_config(file)
    without_weights(config.model)
    set_launcher(config, 'pytorch')
    use(config, out / 'data' / '-'.join(classes_of(config)) / 'tiny', size_of(config))
    config.work_dir = str(out / Path(file).stem)
    config.experiment_name = Path(file).stem
    if config.model.get('teacher'):
        give_teacher(config, out / 'teacher.pth')
    check_classes(config, ['train'])
    runner = build_runner(config)
    runner.train()
    assert runner.iter == 2
    assert not runner.model.find_unused_parameters


def main(out: str, *files: str) -> None:
    torch.set_num_threads(1)
    register_all_modules(init_default_scope=True)  # the teacher is built before any runner
    Config.pretty_text = ''  # a runner takes a second to format it
    for file in files:
        try:
            two_steps(file, Path(out))
        except Exception:
            print(f'FAILED {file}', file=sys.stderr, flush=True)
            raise
        print(f'passed {file}', flush=True)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
