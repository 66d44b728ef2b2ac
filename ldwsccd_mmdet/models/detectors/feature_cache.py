"""A teacher's feature maps on disk, for images that come back unchanged every epoch."""

import hashlib
import logging
import os
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from zipfile import is_zipfile

import torch
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from torch import Tensor

from ...errors import CheckpointError, check_argument


class FeatureCache:
    """Keeps a teacher's maps of every image in a file.

    The key of an image is the hash of its tensor, as the network gets it: an image that was
    augmented otherwise is another image, and never gets the maps of its twin. So nothing has to be
    known about the data pipeline; one that changes the image at random only never finds anything
    (:class:`DistillationGateHook` refuses it).

    Maps are kept in float16, or in bfloat16 where that is what the autocast gives or where a value
    is beyond float16. What is returned has been rounded so in any case, whether it was computed or
    read: a run does not depend on how much of it was cached. A file that was cut short is made
    anew; where nothing more can be written, as on a full disk, the training goes on without.

    Args:
        folder: Where the files are put, below a folder of the teacher's own.
        owner: Hash of the teacher: other weights, another architecture or another normalisation get
            another folder.
        max_gb: Gigabytes (1e9 bytes) from which on nothing more is written, by all processes of a
            run together.

    Attributes:
        hits: Images read so far.
        misses: Images computed so far.

    Raises:
        ConfigError: If ``max_gb`` is not positive.
    """

    def __init__(self, folder: str | Path, owner: str, max_gb: float = 50.0) -> None:
        check_argument(max_gb > 0, 'model.teacher.cache.max_gb', '> 0', max_gb)
        self.folder = Path(folder).expanduser() / owner
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hits = self.misses = 0
        used = sum(file.stat().st_size for file in self.folder.rglob('*.pt'))
        self._bytes_left = (max_gb * 1e9 - used) / get_world_size()
        self._max_gb = max_gb

    def get(
        self,
        batch_inputs: Tensor,
        levels: Sequence[int],
        compute: Callable[[Tensor], tuple[Tensor, ...]],
    ) -> tuple[Tensor, ...]:
        """Maps of a batch: those of known images are read, the others computed and kept.

        Args:
            batch_inputs: Normalised images (N, 3, H, W).
            levels: The levels wanted.
            compute: Gives all maps of a batch.

        Returns:
            A map (N, C, H, W) a level, on the device of the images.
        """
        files = [self._file(image, levels) for image in batch_inputs]
        images = [self._read(file) for file in files]
        unknown = [index for index, maps in enumerate(images) if maps is None]
        self.hits += len(files) - len(unknown)
        self.misses += len(unknown)
        if unknown:
            feats = compute(batch_inputs[unknown])
            rounded = [_round(feats[level]) for level in levels]
            for row, index in enumerate(unknown):
                images[index] = [level[row].to('cpu', copy=True) for level in rounded]
                self._write(files[index], images[index])
        device, dtype = batch_inputs.device, _compute_dtype(batch_inputs)
        return tuple(
            # one type before they are stacked: the CPU's autocast knows no float16
            torch.stack([map_.to(device, dtype) for map_ in maps])
            for maps in zip(*images, strict=True)
        )

    def _file(self, image: Tensor, levels: Sequence[int]) -> Path:
        digest = hashlib.blake2b(tensor_bytes(image), digest_size=16)
        digest.update(repr((tuple(image.shape), tuple(levels), _compute_dtype(image))).encode())
        name = digest.hexdigest()
        return self.folder / name[:2] / f'{name}.pt'

    def _read(self, file: Path) -> list[Tensor] | None:
        if not file.is_file():
            return None
        try:
            if is_zipfile(file):  # as torch writes them, with a mark at the end
                maps = torch.load(file, map_location='cpu', weights_only=True)
                if isinstance(maps, list) and all(isinstance(one, Tensor) for one in maps):
                    return maps
        except pickle.UnpicklingError as error:
            raise CheckpointError(
                f"model.teacher.cache: '{file}' holds more than maps, and is read by weights_only: "
                'it was not written by this package; delete it'
            ) from error
        except (EOFError, OSError, RuntimeError):
            pass
        print_log(
            f"model.teacher.cache: '{file}' is cut short: made anew",
            logger='current',
            level=logging.WARNING,
        )
        return None

    def _write(self, file: Path, maps: list[Tensor] | None) -> None:
        if self._bytes_left <= 0:
            return
        part = file.with_suffix(f'.{os.getpid()}')
        try:
            file.parent.mkdir(exist_ok=True)
            torch.save(maps, part)
            self._bytes_left -= part.stat().st_size
            part.replace(file)  # so that no other process, and no later run, reads half a file
        except (OSError, RuntimeError) as error:  # torch's writer has no error of its own
            self._bytes_left = 0
            with suppress(OSError):
                part.unlink(missing_ok=True)
            print_log(
                f'model.teacher.cache: {self.folder} takes no more ({error}); the training goes '
                'on, and other images are computed at every step',
                logger='current',
                level=logging.WARNING,
            )
            return
        if self._bytes_left <= 0:
            print_log(
                f'model.teacher.cache: {self.folder} holds {self._max_gb:g} GB; nothing more is '
                'written, and other images are computed at every step. Raise cache.max_gb, or '
                'delete folders of earlier teachers beside it',
                logger='current',
                level=logging.WARNING,
            )


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The values of a tensor as bytes, whatever its layout in memory."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _compute_dtype(like: Tensor) -> torch.dtype:
    """Type that a network's maps have: that of the autocast, if there is one."""
    device = like.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return like.dtype


def _round(feat: Tensor) -> Tensor:
    if feat.dtype == torch.bfloat16:
        return feat
    half = feat.half()
    return half if torch.isfinite(half).all() else feat.bfloat16()
