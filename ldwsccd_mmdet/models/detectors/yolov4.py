"""YOLOv4."""

from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS


@MODELS.register_module()
class YOLOV4(SingleStageDetector):
    """YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020).

    :class:`CSPDarknet53`, :class:`YOLOv4Neck` and :class:`YOLOv4Head`, put together in
    ``configs/_base_/models/yolov4.py``. Takes what ``SingleStageDetector`` takes. Darknet's weights
    are converted by ``tools/model_converters/darknet2mmdet.py``.
    """
