"""A detector that teaches: built from config and checkpoint, and never trained."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ...errors import ConfigError

PACKAGE_DIR = Path(__file__).resolve().parents[2]
# parts of a detector whose weights make its features
FEATURE_PARTS = ('backbone.', 'neck.')
MIN_LOADED_SHARE = 0.99


class FrozenTeacher:
    """The teacher of local distillation: any mmdet detector with ``extract_feat``.

    It is deliberately no ``nn.Module``: a student that holds it as an attribute has it neither in
    its parameters and state dict, nor in EMA copies and DDP buckets. It is always in eval mode and
    without gradients. A deep copy of the student (EMA) shares it.

    Args:
        config: Path of the teacher's config (looked for in the working directory, then beside the
            package and in its ``.mim``), an ``mmdet::`` name, or a config with a ``model`` key.
        checkpoint: Path or address of its weights.
        student_preprocessor: The student's data preprocessor. The teacher gets the image in ITS OWN
            normalisation and channel order, computed from the student's tensor.

    Raises:
        ConfigError: If the config or the checkpoint is missing, or if less than 99 % of the weights
            of the teacher's backbone and neck are in the checkpoint with their shape.
    """

    def __init__(
        self,
        config: str | Path | dict,
        checkpoint: str | None,
        student_preprocessor: nn.Module,
    ) -> None:
        model_cfg = _load_model_config(config)
        if not checkpoint:
            raise ConfigError(
                'model.teacher.checkpoint: expected the weights of the trained teacher, found '
                f'{checkpoint!r}; train it (tools/train.py <teacher config>) and give the path '
                'with --cfg-options model.teacher.checkpoint=PATH'
            )
        self.model: Any = MODELS.build(model_cfg)
        _load_weights(self.model, str(checkpoint))
        self.model.eval()
        self.model.requires_grad_(False)
        self._affine = _renormalisation(student_preprocessor, self.model.data_preprocessor)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'FrozenTeacher':
        return self

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Apply the function of ``nn.Module._apply``: the teacher follows ``.to`` and ``.half``."""
        self.model._apply(fn)

    @torch.no_grad()
    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Compute the teacher's feature maps.

        Args:
            batch_inputs: The student's normalised images, (N, 3, H, W).

        Returns:
            The maps of the teacher's neck (or backbone), one a level, without gradient.
        """
        scale, shift, flip = self._affine
        x = batch_inputs.flip(1) if flip else batch_inputs
        if scale is not None and shift is not None:
            x = x * scale.to(x) + shift.to(x)
        return tuple(self.model.extract_feat(x))


def _load_model_config(config: str | Path | dict) -> dict:
    """Return a fresh ``model`` dict of a teacher's config."""
    if isinstance(config, (str, Path)):
        name = str(config)
        if name.startswith('mmdet::'):
            config = _from_mmdet(name)
        else:
            places = [Path(name), PACKAGE_DIR.parent / name, PACKAGE_DIR / '.mim' / name]
            found = next((place for place in places if place.is_file()), None)
            if found is None:
                raise ConfigError(
                    f'model.teacher.config: expected a config file, found nothing at {name} '
                    f'(nor below {PACKAGE_DIR.parent}); give a path from the working directory or '
                    'an mmdet:: name'
                )
            config = Config.fromfile(found)
    model_cfg = config.get('model', config) if hasattr(config, 'get') else None
    if not model_cfg or 'type' not in model_cfg:
        raise ConfigError(
            'model.teacher.config: expected a config with a key "model" that names a detector, '
            f'found {type(config).__name__} without one'
        )
    return copy.deepcopy(model_cfg)


def _from_mmdet(name: str) -> Config:
    from mmengine.hub import get_config

    try:
        return get_config(name)
    except (FileNotFoundError, ValueError) as error:
        raise ConfigError(
            f'model.teacher.config: mmdet has no config {name} ({error}); names look like '
            'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
        ) from error


def _load_weights(model: nn.Module, checkpoint: str) -> None:
    """Load weights, refusing a checkpoint that does not fit the model."""
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise ConfigError(
            f'model.teacher.checkpoint: expected a file, found nothing at {checkpoint}; train the '
            'teacher first, or give its path with --cfg-options model.teacher.checkpoint=PATH'
        )
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')
    state = loaded.get('state_dict', loaded)
    state = {key[7:] if key.startswith('module.') else key: value for key, value in state.items()}
    own = model.state_dict()
    fitting = {
        key: state[key] for key in own if key in state and state[key].shape == own[key].shape
    }
    needed = [key for key in own if key.startswith(FEATURE_PARTS)]
    absent = [key for key in needed if key not in fitting]
    if len(absent) > (1 - MIN_LOADED_SHARE) * len(needed):
        wrong_shape = sum(key in state for key in absent)
        raise ConfigError(
            f'model.teacher.checkpoint: {checkpoint} is not of the architecture of '
            f'model.teacher.config ({type(model).__name__}): {len(absent)} of {len(needed)} '
            f'weights of its backbone and neck are missing or ({wrong_shape}) of another shape, '
            f'first {", ".join(absent[:3])}; give the config that the checkpoint was trained with'
        )
    model.load_state_dict(fitting, strict=False)


def _renormalisation(
    student: nn.Module, teacher: nn.Module
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Scale (3, 1, 1), shift (3, 1, 1) and channel flip from the student's input to the teacher's.

    With the normalisations (x - m_s) / s_s and (x - m_t) / s_t the teacher's input is
    x_s * (s_s / s_t) + (m_s - m_t) / s_t, after m_s and s_s were brought to the teacher's order.
    """
    flip = _is_flipped(student) != _is_flipped(teacher)
    mean_s, std_s = _mean_std(student)
    mean_t, std_t = _mean_std(teacher)
    if flip:
        mean_s, std_s = mean_s.flip(0), std_s.flip(0)
    scale, shift = std_s / std_t, (mean_s - mean_t) / std_t
    if torch.equal(scale, torch.ones_like(scale)) and not shift.any():
        return None, None, flip
    return scale, shift, flip


def _is_flipped(preprocessor: nn.Module) -> bool:
    return bool(getattr(preprocessor, '_channel_conversion', False))


def _mean_std(preprocessor: nn.Module) -> tuple[Tensor, Tensor]:
    mean = getattr(preprocessor, 'mean', None)
    std = getattr(preprocessor, 'std', None)
    if mean is None or std is None:
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    return mean.detach().float().cpu().view(-1, 1, 1), std.detach().float().cpu().view(-1, 1, 1)
