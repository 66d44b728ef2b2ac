"""CVAT's own export, "CVAT for images": one XML file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...datasets.files import read_text
from ...errors import DatasetError
from .coco_builder import CocoBuilder

__all__ = ['read_cvat']


def read_cvat(path: Path) -> CocoBuilder:
    """Read boxes, polygons, polylines and ellipses as boxes.

    Classes are those that occur, or that the task's labels name, sorted. A turned box becomes the
    box around it.

    Args:
        path: The XML file.

    Raises:
        DatasetError: It is not such a file.
    """
    text = read_text(path)
    try:
        if '<!DOCTYPE' in text or '<!ENTITY' in text:
            raise DatasetError(f"'{path}' declares entities, which CVAT never does: not read")
        root = ElementTree.fromstring(text)
        if root.tag != 'annotations':
            raise ValueError(f'its root is <{root.tag}>')
        named = {
            label.findtext('name') for label in root.iter('label') if label.find('name') is not None
        }
        shapes = [
            (image, shape)
            for image in root.iter('image')
            for shape in image
            if 'label' in shape.attrib
        ]
        names = {str(name) for name in named} | {shape.attrib['label'] for _, shape in shapes}
        builder = CocoBuilder(sorted(names), f'imported from CVAT: {path.name}')
        for image in root.iter('image'):
            size = int(image.attrib['width']), int(image.attrib['height'])
            image_id = builder.add_image(image.attrib['name'], *size)
            for shape in image:
                if 'label' in shape.attrib:
                    builder.add_box(image_id, shape.attrib['label'], _bbox(shape))
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"'{path}' is not CVAT's XML ({error}): export the task as 'CVAT for images 1.1' or as "
            "'COCO 1.0'"
        ) from error
    return builder


def _bbox(shape: ElementTree.Element) -> list[float]:
    """The box x, y, w, h around a shape."""
    values = shape.attrib
    if shape.tag == 'box':
        corners = [
            [float(values[f'x{a}']), float(values[f'y{b}'])]
            for a in ('tl', 'br')
            for b in ('tl', 'br')
        ]
        points = np.array(corners)
        angle = np.radians(float(values.get('rotation', 0)))
        if angle:
            centre = points.mean(0)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            points = (points - centre) @ turn + centre
    elif shape.tag == 'ellipse':
        centre = np.array([float(values['cx']), float(values['cy'])])
        radius = np.array([float(values['rx']), float(values['ry'])])
        points = np.array([centre - radius, centre + radius])
    elif 'points' in values:
        points = np.array([[float(v) for v in p.split(',')] for p in values['points'].split(';')])
    else:
        raise ValueError(f'a shape <{shape.tag}> has no points')
    low, high = points.min(0), points.max(0)
    return [*map(float, low), *map(float, high - low)]
