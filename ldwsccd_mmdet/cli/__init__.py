"""What `tools/train.py` and `tools/test.py` are made of."""

from ..engine.config_file import load_config
from .config import (
    check_checkpoint_classes,
    check_classes,
    enable_amp,
    enable_auto_scale_lr,
    enable_tta,
    enable_visualization,
    set_launcher,
    set_work_dir,
)
from .pretrained import fetch_pretrained
from .tool import (
    add_common_arguments,
    build_runner,
    find_checkpoint,
    find_resume,
    run_tool,
)

__all__ = [
    'add_common_arguments',
    'build_runner',
    'check_checkpoint_classes',
    'check_classes',
    'enable_amp',
    'enable_auto_scale_lr',
    'enable_tta',
    'enable_visualization',
    'fetch_pretrained',
    'find_checkpoint',
    'find_resume',
    'load_config',
    'run_tool',
    'set_launcher',
    'set_work_dir',
]
