"""A detector that teaches: built from config and checkpoint, and never trained."""

import copy
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmcv.cnn import fuse_conv_bn
from mmdet.models.dense_heads import SSDHead
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from ...errors import CheckpointError, ConfigError
from ..utils import LEAST_SHARE, checkpoint_classes, fit_weights, set_num_classes
from .feature_cache import FeatureCache, tensor_bytes

PACKAGE_DIR = Path(__file__).resolve().parents[2]
# parts of a detector whose weights make its features
FEATURE_PARTS = ('backbone.', 'neck.')
# largest deviation of a map, as a share of its largest value, by the rounding of float32
FUSED_TOLERANCE = 1e-3


class FrozenTeacher:
    """The teacher of local distillation: any mmdet detector with ``extract_feat``.

    It is deliberately no ``nn.Module``: a student that holds it as an attribute has it neither in
    its parameters and state dict, nor in EMA copies and DDP buckets. It is always in eval mode and
    without gradients. A deep copy of the student (EMA) shares it.

    Only backbone and neck run, under the autocast of the caller, and without a graph
    (``torch.no_grad``: maps made in ``torch.inference_mode`` could not be saved for the backward
    pass of the loss that compares them with the student's). Its batch norms never change, so they
    run folded into the convolutions before them, where the first image shows that this gives the
    same maps.

    Args:
        config: Path of the teacher's config (looked for in the working directory, then beside the
            package and in its ``.mim``), an ``mmdet::`` name, a config with a ``model`` key, or the
            model's own dict.
        checkpoint: Path or address of its weights.
        student_preprocessor: The student's data preprocessor. The teacher gets the image in ITS OWN
            normalisation and channel order, computed from the student's tensor.
        cache: Folder, or arguments of :class:`FeatureCache`, to keep its maps in; None computes
            them anew at every step.

    Attributes:
        model: The detector.
        folded: What computes its maps: a copy with folded batch norms, or the detector itself; None
            before the first image.
        missing_keys: Its weights that the checkpoint has not, or in another shape.
        classes: Names of the classes it was trained on, as its checkpoint says; or None.
        num_classes: Number of classes of its head; None where the head does not say.

    Raises:
        ConfigError: If the config or the checkpoint is not there.
        CheckpointError: If less than 99 % of the weights of the teacher's backbone and neck are in
            the checkpoint with their shape, or some of them are NaN or infinite.
    """

    def __init__(
        self,
        config: str | Path | dict,
        checkpoint: str | None,
        student_preprocessor: nn.Module,
        cache: str | Path | dict | None = None,
    ) -> None:
        model_cfg = _load_model_config(config)
        if not checkpoint:
            raise ConfigError(
                'model.teacher.checkpoint: expected the weights of the trained teacher, found '
                f'{checkpoint!r}; train it (tools/train.py <teacher config>) and give the path '
                'with --cfg-options model.teacher.checkpoint=PATH'
            )
        self.checkpoint = str(checkpoint)
        loaded = _read_checkpoint(self.checkpoint)
        self.classes = checkpoint_classes(loaded.get('meta') or {})
        if self.classes is not None:  # its config may leave them to its annotation files
            set_num_classes(model_cfg, len(self.classes))
        self.model: Any = MODELS.build(model_cfg)
        self.missing_keys = _load_weights(self.model, loaded, self.checkpoint)
        self.num_classes = _num_classes(self.model)
        self.model.eval()
        self.model.requires_grad_(False)
        self.folded: Any = None
        self._affine = _renormalisation(student_preprocessor, self.model.data_preprocessor)
        self.cache: FeatureCache | None = None
        if cache is not None:
            kwargs = cache if isinstance(cache, dict) else dict(folder=cache)
            self.cache = FeatureCache(**kwargs, owner=self._fingerprint())

    def __deepcopy__(self, memo: dict[int, Any]) -> 'FrozenTeacher':
        return self

    @property
    def loaded_weights(self) -> tuple[int, int]:
        """Weights of backbone and neck that were in the checkpoint, and all that there are."""
        needed = sum(
            key.startswith(FEATURE_PARTS) and not key.endswith('num_batches_tracked')
            for key in self.model.state_dict()
        )
        missing = sum(key.startswith(FEATURE_PARTS) for key in self.missing_keys)
        return needed - missing, needed

    def same_classes(self, classes: Sequence[str]) -> bool | None:
        """Whether it was trained on these classes, in this order; None if nothing is known.

        Where its checkpoint names no classes, their number must do.
        """
        if self.classes is not None:
            return self.classes == tuple(classes)
        return None if self.num_classes is None else self.num_classes == len(classes)

    def apply(self, fn: Callable[[Tensor], Tensor]) -> None:
        """Apply the function of ``nn.Module._apply``: the teacher follows ``.to`` and ``.half``."""
        self.model._apply(fn)
        if self.folded is not None and self.folded is not self.model:
            self.folded._apply(fn)

    @torch.no_grad()
    def extract_feat(
        self, batch_inputs: Tensor, levels: Sequence[int] | None = None
    ) -> tuple[Tensor, ...]:
        """Compute the teacher's feature maps, or read them from the cache.

        Args:
            batch_inputs: The student's normalised images, (N, 3, H, W).
            levels: The levels wanted, in this order; None for all (not cached).

        Returns:
            The maps of the teacher's neck (or backbone), one a level, without gradient.
        """
        if levels is None:
            return self._run(batch_inputs)
        if self.cache is None:
            feats = self._run(batch_inputs)
            return tuple(feats[level] for level in levels)
        return self.cache.get(batch_inputs, levels, self._run)

    @torch.no_grad()
    def class_scores(self, feats: tuple[Tensor, ...]) -> list[Tensor]:
        """Run the teacher's SSD head on all its maps.

        Returns:
            Logits (N, A_l * (C + 1), H, W), one a level, without gradient.

        Raises:
            ConfigError: If its head is no SSD head.
        """
        head = getattr(self.model, 'bbox_head', None)
        if not isinstance(head, SSDHead):
            raise ConfigError(
                'model.logit_distillation: expected a teacher with an SSD head, found '
                f'{type(self.model).__name__} with {type(head).__name__}; choose another '
                'model.teacher, or set logit_distillation=None'
            )
        return list(head(feats)[0])

    def _run(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        scale, shift, flip = self._affine
        x = batch_inputs.flip(1) if flip else batch_inputs
        if scale is not None and shift is not None:
            x = x * scale.to(x) + shift.to(x)
        if self.folded is None:
            self.folded = _fold_batch_norms(self.model, x[:1])
        return tuple(self.folded.extract_feat(x))

    def _fingerprint(self) -> str:
        """Hash of all that the maps depend on but the image: weights, architecture, input."""
        digest = hashlib.blake2b(repr((self.model, self._affine)).encode(), digest_size=16)
        for key, value in self.model.state_dict().items():
            if key.startswith(FEATURE_PARTS):
                digest.update(tensor_bytes(value))
        return digest.hexdigest()


def _fold_batch_norms(model: Any, image: Tensor) -> Any:
    """A copy of the detector with its batch norms in its convolutions, if its maps stay the same.

    They do not where a batch norm is registered behind a convolution that it does not follow: then
    the detector itself is returned.
    """
    folded = fuse_conv_bn(copy.deepcopy(model))
    with torch.autocast(image.device.type, enabled=False):
        image = image.to(next(model.parameters()).dtype)
        pairs = list(zip(model.extract_feat(image), folded.extract_feat(image), strict=True))
    same = all((a - b).abs().amax() <= FUSED_TOLERANCE * a.abs().amax() for a, b in pairs)
    return folded if same else model


def _load_model_config(config: str | Path | dict) -> dict:
    """Return a fresh ``model`` dict of a teacher's config."""
    where = type(config).__name__
    if isinstance(config, (str, Path)):
        name = where = str(config)
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
            f'found none in {where}'
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


def _read_checkpoint(checkpoint: str) -> dict[str, Any]:
    """Read a checkpoint, or say that it is not there."""
    if '://' not in checkpoint and not Path(checkpoint).is_file():
        raise ConfigError(
            f'model.teacher.checkpoint: expected a file, found nothing at {checkpoint}; train the '
            'teacher first, or give its path with --cfg-options model.teacher.checkpoint=PATH'
        )
    return CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu')


def _load_weights(model: nn.Module, loaded: dict[str, Any], checkpoint: str) -> list[str]:
    """Load weights, refusing a checkpoint that does not fit the model.

    Returns:
        The keys of the model that it has not.
    """
    fit = fit_weights(model, loaded.get('state_dict', loaded))
    seen = fit.of(lambda name: name.startswith(FEATURE_PARTS))
    if seen.share < LEAST_SHARE or seen.misshapen:
        raise CheckpointError(
            f'model.teacher.checkpoint: {checkpoint} is not of the architecture of '
            f'model.teacher.config ({type(model).__name__}): of its backbone and neck '
            f'{seen.describe()}; give the config that the checkpoint was trained with'
        )
    if fit.not_finite:
        raise CheckpointError(
            f'model.teacher.checkpoint: the teacher {checkpoint} has weights that are not finite '
            f'({len(fit.not_finite)} of {len(fit.wanted)}, first {fit.not_finite[0]}): train it '
            'again with a lower rate, or give an earlier checkpoint'
        )
    if fit.prefix:
        print_log(
            f"model.teacher.checkpoint: names of its weights begin with '{fit.prefix}'",
            logger='current',
        )
    model.load_state_dict(fit.state, strict=False)
    return list(fit.absent)


def _num_classes(model: Any) -> int | None:
    """Number of classes of a detector's head, the last one of a cascade."""
    head = getattr(model, 'bbox_head', None) or getattr(
        getattr(model, 'roi_head', None), 'bbox_head', None
    )
    if isinstance(head, nn.ModuleList):
        head = head[-1]
    return getattr(head, 'num_classes', None)


def _renormalisation(
    student: nn.Module, teacher: nn.Module
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Scale (3, 1, 1), shift (3, 1, 1) and channel flip from the student's input to the teacher's.

    With the normalisations (x - m_s) / s_s and (x - m_t) / s_t the teacher's input is
    x_s * (s_s / s_t) + (m_s - m_t) / s_t, after m_s and s_s were brought to the teacher's order.
    """
    (mean_s, std_s, order_s), (mean_t, std_t, order_t) = map(normalisation, (student, teacher))
    flip = order_s != order_t
    if flip:
        mean_s, std_s = mean_s.flip(0), std_s.flip(0)
    scale, shift = std_s / std_t, (mean_s - mean_t) / std_t
    if torch.equal(scale, torch.ones_like(scale)) and not shift.any():
        return None, None, flip
    return scale, shift, flip


def normalisation(preprocessor: nn.Module) -> tuple[Tensor, Tensor, str]:
    """Mean (3, 1, 1), standard deviation (3, 1, 1) and channel order of a data preprocessor.

    Args:
        preprocessor: An ``ImgDataPreprocessor``; one without normalisation has mean 0 and standard
            deviation 1.

    Returns:
        On the CPU, in the order of the channels: 'BGR' as images are read, or 'RGB'.
    """
    order = 'RGB' if getattr(preprocessor, '_channel_conversion', False) else 'BGR'
    mean = getattr(preprocessor, 'mean', None)
    std = getattr(preprocessor, 'std', None)
    if mean is None or std is None:
        return torch.zeros(3, 1, 1), torch.ones(3, 1, 1), order
    mean, std = (value.detach().float().cpu().view(-1, 1, 1) for value in (mean, std))
    return mean, std, order
