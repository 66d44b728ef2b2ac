"""The picture for a README shows images as the loader sees them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ldwsccd_mmdet.experiments.report import picture


def test_turned_pictures_stand_upright(tmp_path, annotated, detections, measured, monkeypatch):
    """EXIF says how the camera was held; boxes are of the upright picture."""
    truth = annotated({1: [0]})
    upright = np.zeros((128, 128, 3), np.uint8)
    upright[:20] = 255  # its upper edge is white
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / '1.jpg', exif=tags)
    truth.imgs[1]['file_name'] = '1.jpg'
    seen = []
    monkeypatch.setattr(
        picture, 'draw_detections', lambda image, *args, **kwargs: seen.append(image) or image
    )
    predictions = {1: detections((5, 30, 35, 55, 0.9, 0))}
    run = type('Run', (), dict(predictions=predictions, metrics=measured(truth, predictions)))
    model = type('Model', (), dict(runs=[run], name='a'))
    report = type('Report', (), dict(truth=truth, image_dir=tmp_path))
    picture._column(report, model, 1)
    for image in seen:
        assert image[:16].mean() > 240 and image[30:].mean() < 15
    assert len(seen) == 2
