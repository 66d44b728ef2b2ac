"""Started twice by torchrun: what two processes do, compared with one. Writes ``<out>/rank_0.pt``.

python -m torch.distributed.run --nproc_per_node 2 two_processes.py CONFIG OUT
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

import torch
from mmdet.utils import register_all_modules
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import ldwsccd_mmdet  # noqa: F401
from ldwsccd.config import set_launcher


def step(model, batch):
    """Losses and gradients of a batch, averaged over processes as DDP does."""
    module = getattr(model, 'module', model)
    data = module.data_preprocessor(copy.deepcopy(batch), True)
    losses = model(**data, mode='loss')
    total, log = module.parse_losses(losses)
    model.zero_grad()
    total.backward()
    gradients = {name: p.grad.clone() for name, p in module.named_parameters()}
    return {name: float(value) for name, value in log.items()}, gradients


def mirrored(batch):
    """The same image seen in a mirror: its priors match as many boxes, all pixels differ."""
    batch = copy.deepcopy(batch)
    for image, sample in zip(batch['inputs'], batch['data_samples'], strict=True):
        image.copy_(image.flip(-1))
        boxes = sample.gt_instances.bboxes
        boxes.tensor[:, [0, 2]] = image.shape[-1] - boxes.tensor[:, [2, 0]]
    return batch


def compare(runner):
    """Gradients of one process with two images, and of two with one image each."""
    dataset = runner.train_dataloader.dataset
    image = pseudo_collate([dataset[0]])
    both = [image, mirrored(image)]
    whole = {
        key: [value for part in both for value in part[key]] for key in ('inputs', 'data_samples')
    }
    model = runner.model
    model.train()
    return dict(
        alone=step(copy.deepcopy(model.module), whole),
        shared=step(model, both[get_rank()]),
        num_trained=sum(p.requires_grad for p in model.module.parameters()),
        num_in_ddp=model._get_ddp_logging_data()['num_parameter_tensors'],
        find_unused_parameters=model.find_unused_parameters,
    )


def run(config, name, **changes):
    config = copy.deepcopy(config)
    config.merge_from_dict(changes)
    config.experiment_name = name
    return Runner.from_cfg(config)


def main(config_file, out):
    init_default_scope('mmdet')
    register_all_modules(init_default_scope=False)
    Config.pretty_text = ''  # a runner takes a second to format it
    config = Config.fromfile(config_file)
    set_launcher(config, 'pytorch')
    torch.set_num_threads(1)
    config.work_dir = f'{out}/straight'
    straight = run(config, 'straight')
    straight.train()
    found = compare(straight)
    found['world_size'] = get_world_size()

    config.work_dir = f'{out}/halves'
    halves = run(config, 'first half', **{'train_cfg.max_epochs': 1})
    halves.train()
    resumed = run(config, 'second half', load_from=f'{out}/halves/epoch_1.pth', resume=True)
    resumed.train()
    found.update(
        straight=straight.model.module.state_dict(),
        resumed=resumed.model.module.state_dict(),
        resumed_steps=resumed.iter - halves.iter,
    )
    torch.save(found, Path(out) / f'rank_{get_rank()}.pt')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    main(*sys.argv[1:])
