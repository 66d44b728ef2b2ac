"""Regions around the nuclei of a stained smear, from the picture alone."""

from collections.abc import Sequence

import cv2
import numpy as np
from mmdet.registry import TASK_UTILS

from ....errors import ConfigError
from .base_proposer import ImageProposer

# Optical densities of haematoxylin, eosin and DAB in red, green and blue (Ruifrok and Johnston,
# Analytical and Quantitative Cytology and Histology 23, 2001), one row a stain.
_STAINS = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
CHANNELS = ('value', 'haematoxylin', 'gray')


@TASK_UTILS.register_module()
class NucleusBlobProposer(ImageProposer):
    r"""Boxes around dark blobs: nuclei, in a smear of any Papanicolaou or similar stain.

    With D the optical density of the stain, blobs are the maxima over place and radius r of the
    difference of Gaussians

    .. math::
        G(\sigma) * D - G(\sqrt 2 \, \sigma) * D, \qquad \sigma = r / (2 \sqrt{\ln 2})

    which is largest in the centre of a dark disc of radius r. A blob of response s scores
    :math:`s \, r^{0.6}`, so that large pale nuclei are not lost behind small dark leucocytes.
    Its boxes are squares *in the image file* around its centre: its own diameter times each of
    ``contexts``, and each of ``sizes``.

    Args:
        max_per_img: See :class:`BaseProposer`.
        radius_range: Smallest and largest radius r of a nucleus, pixels of the batch tensor.
        contexts: Sides of the boxes, in diameters 2 r; 1 is the nucleus, 3 most of a cell.
        sizes: Sides of further boxes, in pixels of the image file: for labels that are squares of
            one size around nucleus points, as CRIC's.
        channel: Where D comes from: ``'value'`` - log max(R, G, B), high only where all light is
            absorbed, so that coloured cytoplasm vanishes; ``'haematoxylin'``, by colour
            deconvolution, for H&E; ``'gray'``, for blood and other stains.
        min_response: Blobs of a lower s are left out, in optical density.
        nms_iou: See :class:`BaseProposer`.
        min_size: See :class:`BaseProposer`.

    Raises:
        ConfigError: If an argument is outside its range.
    """

    def __init__(
        self,
        max_per_img: int = 300,
        radius_range: tuple[float, float] = (6.0, 24.0),
        contexts: Sequence[float] = (1.0, 1.8, 3.0),
        sizes: Sequence[float] = (),
        channel: str = 'value',
        min_response: float = 0.005,
        nms_iou: float = 0.7,
        min_size: float = 4.0,
    ) -> None:
        super().__init__(max_per_img, nms_iou, min_size)
        low, high = radius_range
        self._check('radius_range', radius_range, 1 <= low <= high, '1 <= smallest <= largest')
        self._check('channel', channel, channel in CHANNELS, f'one of {CHANNELS}')
        for name, values in (('contexts', contexts), ('sizes', sizes)):
            self._check(name, values, all(value > 0 for value in values), 'numbers above 0')
        if not len(contexts) and not len(sizes):
            raise ConfigError(
                'NucleusBlobProposer: expected a side for the boxes, found contexts and sizes '
                'both empty; set contexts=(1.0, 1.8, 3.0)'
            )
        self.contexts = np.asarray(contexts, np.float32)
        self.sizes = np.asarray(sizes, np.float32)
        self.channel = channel
        self.min_response = min_response
        # blobs are searched in an image so small that the smallest has a radius of 2 to 3 px
        self._shrink = max(1, int(low / 2.5))
        steps = int(np.ceil(2 * np.log2(high / low) - 1e-6)) + 1
        self._radii = low / self._shrink * np.sqrt(2.0) ** np.arange(steps + 1)

    def propose(self, image: np.ndarray, scale: tuple[float, float]) -> tuple[np.ndarray, ...]:
        """See :meth:`ImageProposer.propose`."""
        centres, radii, scores = self._blobs(image)
        mean_scale = float(np.sqrt(scale[0] * scale[1]))
        sides = np.concatenate(
            [
                radii[:, None] * 2 * self.contexts / mean_scale,
                np.broadcast_to(self.sizes, (len(radii), len(self.sizes))),
            ],
            axis=1,
        )
        half = sides[..., None] / 2 * np.array(scale, np.float32)
        boxes = np.concatenate([centres[:, None] - half, centres[:, None] + half], axis=2)
        scores = np.repeat(scores, sides.shape[1])
        return boxes.reshape(-1, 4).astype(np.float32), scores.astype(np.float32)

    def _blobs(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Centres (n, 2) and radii (n,) of blobs in pixels of ``image``, and scores (n,)."""
        height, width = image.shape[:2]
        size = (max(1, width // self._shrink), max(1, height // self._shrink))
        if self._shrink > 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        density = _optical_density(image, self.channel)
        blurred, sigma, blurs = density, 0.0, []
        for target in self._radii / (2 * np.sqrt(np.log(2))):
            # Gaussians compose: each blur adds what is missing to the last
            step = float(np.sqrt(target**2 - sigma**2))
            blurred, sigma = cv2.GaussianBlur(blurred, (0, 0), step), target
            blurs.append(blurred)
        response = np.stack([fine - coarse for fine, coarse in zip(blurs, blurs[1:], strict=False)])
        window = np.ones((3, 3), np.uint8)
        highest = np.stack([cv2.dilate(level, window) for level in response])
        blob = (response == highest) & (response > self.min_response)
        blob[1:] &= response[1:] >= response[:-1]
        blob[:-1] &= response[:-1] > response[1:]
        level, y, x = np.nonzero(blob)
        radii = (self._radii[level] * self._shrink).astype(np.float32)
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        centres = (np.stack([x, y], axis=1) + np.float32(0.5)) * ratio
        return centres, radii, response[level, y, x] * radii**0.6


def _optical_density(image: np.ndarray, channel: str) -> np.ndarray:
    """Optical density (h, w), float32, of an RGB image (h, w, 3), uint8."""
    table = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)
    if channel == 'value':
        red, green, blue = cv2.split(image)
        return table[cv2.max(cv2.max(red, green), blue)]
    if channel == 'gray':
        return table[cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)]
    stains = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)
    weights = np.linalg.inv(stains)[:, 0]
    return cv2.transform(table[image], weights[None].astype(np.float32))
