"""What `tools/train.py` and `tools/test.py` are made of."""

from .config import (
    check_checkpoint_classes,
    check_classes,
    enable_amp,
    enable_auto_scale_lr,
    enable_tta,
    enable_visualization,
    load_config,
    set_launcher,
    set_work_dir,
)
from .pretrained import fetch_pretrained
from .results import (
    existing_path,
    find_images,
    find_teacher,
    find_truth,
    measure,
    parse_source,
)
from .tool import add_common_arguments, build_runner, find_checkpoint, find_resume, run_tool

__all__ = [
    'add_common_arguments',
    'build_runner',
    'check_checkpoint_classes',
    'check_classes',
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_tta',
    'enable_visualization',
    'existing_path',
    'fetch_pretrained',
    'find_checkpoint',
    'find_images',
    'find_resume',
    'find_teacher',
    'find_truth',
    'load_config',
    'measure',
    'parse_source',
    'run_tool',
    'set_launcher',
    'set_work_dir',
]
