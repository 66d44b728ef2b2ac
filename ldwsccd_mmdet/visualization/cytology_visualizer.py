"""mmdet's visualizer, with class names and scores that can be read."""

from __future__ import annotations

from typing import Any

import mmcv
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only
from mmengine.structures import InstanceData
from PIL import Image, ImageDraw

from ..datasets.palette import class_palette
from .draw_detections import draw_detections
from .label_layout import label_font

__all__ = ['CytologyVisualizer']


@VISUALIZERS.register_module()
class CytologyVisualizer(DetLocalVisualizer):
    """Draws boxes with names and scores in type that grows with the picture.

    mmdet's own type shrinks with the box: 6 px or less on a nucleus. Here an image is enlarged
    until its short side has 600 px (at most 3 times), names are placed clear of each other, and a
    line above says which panel shows the truth, which the detections, and the image's own label.

    A sample with masks or segmentations is drawn by mmdet.

    Args:
        name: Name of the instance.
        font_size: Size of the type, pixels of the picture; by default 1.8 % of its longer side, so
            that it is still legible when the picture is shown 512 px wide.
        scale: Whole factor by which images are enlarged; by default by their short side.
        **kwargs: See :class:`mmdet.visualization.DetLocalVisualizer`.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        font_size: int | None = None,
        scale: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.font_size = font_size
        self.scale = scale

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample, truth left and detections right, and show, save or log it.

        Args:
            name: Name of the picture.
            image: RGB, shape ``(H, W, 3)``.
            data_sample: Boxes in pixels of ``image``.
            draw_gt: Whether to draw the truth, if the sample has it.
            draw_pred: Whether to draw detections, if the sample has them.
            show: Whether to show the picture in a window.
            wait_time: Seconds to show it; 0 waits for a key.
            out_file: File to save it to; without, it goes to the backends.
            pred_score_thr: Score above which detections are drawn.
            step: Step that the backends log it at.
        """
        if data_sample is not None and _has_masks(data_sample):
            super().add_datasample(
                name,
                image,
                data_sample,
                draw_gt,
                draw_pred,
                show,
                wait_time,
                out_file,
                pred_score_thr,
                step,
            )
            return
        image = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
        panels = []
        if data_sample is not None:
            sample = data_sample.cpu()
            if draw_gt and 'gt_instances' in sample:
                title = 'truth' + self._image_labels(sample)
                panels.append(self._panel(image, sample.gt_instances, title))
            if draw_pred and 'pred_instances' in sample:
                found = sample.pred_instances
                found = found[found.scores > pred_score_thr]
                panels.append(self._panel(image, found, f'detections above {pred_score_thr:g}'))
        picture = np.concatenate(panels, 1) if panels else image
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(picture[..., ::-1], out_file)
        elif not show:
            self.add_image(name, picture, step)

    def _panel(self, image: np.ndarray, instances: InstanceData, title: str) -> np.ndarray:
        """Draw one set of boxes, with a title above."""
        bboxes = getattr(instances.bboxes, 'tensor', instances.bboxes).numpy()
        labels = instances.labels.numpy()
        scores = instances.scores.numpy() if 'scores' in instances else None
        classes = self._names(labels)
        # as draw_detections enlarges
        scale = self.scale or int(np.clip(np.ceil(600 / min(image.shape[:2])), 1, 3))
        size = self.font_size or max(13, round(0.018 * scale * max(image.shape[:2])))
        picture = draw_detections(
            image, bboxes, labels, scores, classes, self._colors(len(classes)), scale, size
        )
        strip = Image.new('RGB', (picture.shape[1], round(1.6 * size)), 'white')
        ImageDraw.Draw(strip).text((size // 2, size // 5), title, 'black', label_font(size))
        return np.concatenate([np.asarray(strip), picture])

    def _names(self, labels: np.ndarray) -> tuple[str, ...]:
        """Return the class names, or numbers where the data set has said none."""
        names = tuple((self.dataset_meta or {}).get('classes') or ())
        least = int(labels.max()) + 1 if labels.size else 0
        return names + tuple(f'class {i}' for i in range(len(names), least))

    def _colors(self, count: int) -> np.ndarray:
        """Return the data set's palette, where it has a colour for every class."""
        palette = (self.dataset_meta or {}).get('palette')
        if isinstance(palette, (list, tuple)) and len(palette) >= max(count, 1):
            return np.asarray(palette)
        return class_palette(count)

    def _image_labels(self, sample: DetDataSample) -> str:
        """Write the label of the whole image, if the sample has one."""
        labels = sample.get('image_labels')
        if labels is None:
            return ''
        labels = np.asarray(labels, int).reshape(-1)
        names = self._names(labels)
        return ', image label: ' + (', '.join(names[i] for i in labels) or 'none of the classes')


def _has_masks(sample: DetDataSample) -> bool:
    keys = ('gt_sem_seg', 'pred_sem_seg', 'gt_panoptic_seg', 'pred_panoptic_seg')
    groups = [sample.get(key) for key in ('gt_instances', 'pred_instances')]
    return any(key in sample for key in keys) or any(
        group is not None and ('masks' in group or 'bboxes' not in group) for group in groups
    )
