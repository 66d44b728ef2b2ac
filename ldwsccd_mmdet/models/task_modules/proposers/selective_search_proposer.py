"""Selective Search, where the user has opencv-contrib."""

from typing import Any

import cv2
import numpy as np
from mmdet.registry import TASK_UTILS

from ....errors import ConfigError
from .base_proposer import ImageProposer


@TASK_UTILS.register_module()
class SelectiveSearchProposer(ImageProposer):
    """Selective Search (Uijlings et al., IJCV 2013) by OpenCV's contributed modules.

    It takes seconds an image at its published size: shrink the image (``max_side``), or write the
    regions to a file once (``tools/analysis_tools/proposal_recall.py --save``) for
    :class:`FileProposer`. Scores fall with the order in which OpenCV lists the regions.

    Args:
        mode: ``'fast'``, ``'quality'`` or ``'single'``: OpenCV's presets.
        max_side: The longer side of the image that is searched, pixels; larger ones are shrunk.
        max_per_img: See :class:`BaseProposer`.
        nms_iou: See :class:`BaseProposer`.
        min_size: See :class:`BaseProposer`.

    Raises:
        ConfigError: If an argument is outside its range, or OpenCV lacks ``ximgproc``.
    """

    def __init__(
        self,
        mode: str = 'fast',
        max_side: int = 256,
        max_per_img: int = 2000,
        nms_iou: float = 0.9,
        min_size: float = 4.0,
    ) -> None:
        super().__init__(max_per_img, nms_iou, min_size)
        modes = {
            'fast': 'switchToSelectiveSearchFast',
            'quality': 'switchToSelectiveSearchQuality',
            'single': 'switchToSingleStrategy',
        }
        self._check('mode', mode, mode in modes, f'one of {sorted(modes)}')
        self._check('max_side', max_side, max_side >= 16, 'at least 16 pixels')
        self._switch = modes[mode]
        self.max_side = max_side
        self._new_search()  # says what is missing before training, not in it

    @staticmethod
    def _new_search() -> Any:
        try:
            module: Any = cv2  # its type hints lack the contributed modules
            return module.ximgproc.segmentation.createSelectiveSearchSegmentation()
        except AttributeError as error:
            raise ConfigError(
                'SelectiveSearchProposer needs OpenCV with its contributed modules (cv2.ximgproc), '
                'found none. They come in opencv-contrib-python (without a display '
                'opencv-contrib-python-headless), which must REPLACE opencv-python, not lie beside '
                'it: pip uninstall opencv-python opencv-python-headless, then pip install '
                'opencv-contrib-python. Or use NucleusBlobProposer, which needs nothing'
            ) from error

    def propose(self, image: np.ndarray, scale: tuple[float, float]) -> tuple[np.ndarray, ...]:
        """See :meth:`ImageProposer.propose`."""
        height, width = image.shape[:2]
        shrink = min(1.0, self.max_side / max(height, width))
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if shrink < 1 else image
        search = self._new_search()
        search.setBaseImage(small[..., ::-1].copy())  # OpenCV's order is BGR
        getattr(search, self._switch)()
        boxes = np.asarray(search.process(), np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        x, y = width / size[0], height / size[1]
        # falling in steps that float32 can tell apart
        scores = 1 / np.arange(1, len(boxes) + 1, dtype=np.float32)
        return boxes * np.array([x, y, x, y], np.float32), scores
