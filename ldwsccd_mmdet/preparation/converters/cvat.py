"""CVAT's own export, "CVAT for images": one XML file."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ...datasets.files import read_text
from ...errors import DatasetError
from .coco_builder import MOST_BYTES, CocoBuilder
from .shapes import box_around, ellipse_corners

__all__ = ['read_cvat']


def read_cvat(path: Path) -> CocoBuilder:
    """Read boxes, polygons, masks, ellipses, cuboids and skeletons as boxes.

    Classes are those that occur, or that the task's labels name, sorted. A turned box becomes the
    box around it. Tags, which are labels of whole images, are counted as left out.

    Args:
        path: The XML file.

    Raises:
        DatasetError: It is not such a file.
    """
    text = read_text(path, MOST_BYTES)
    try:
        if '<!DOCTYPE' in text or '<!ENTITY' in text:
            raise DatasetError(f"'{path}' declares entities, which CVAT never does: not read")
        root = ElementTree.fromstring(text)
        if root.tag != 'annotations':
            raise ValueError(f'its root is <{root.tag}>')
        if root.find('image') is None and root.find('track') is not None:
            raise ValueError('it holds tracks of a video')
        images = [(image, _shapes(image)) for image in root.iter('image')]
        names = _label_names(root) | {s.attrib['label'] for _, shapes in images for s in shapes}
        builder = CocoBuilder(sorted(names), f'imported from CVAT: {path.name}')
        for image, shapes in images:
            size = int(image.attrib['width']), int(image.attrib['height'])
            image_id = builder.add_image(image.attrib['name'], *size)
            for shape in shapes:
                builder.add_box(image_id, shape.attrib['label'], _bbox(shape))
            if tags := len(image.findall('tag')):
                builder.left_out['tags, which have no place'] += tags
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(
            f"'{path}' is not CVAT's XML ({error}): export the task as 'CVAT for images 1.1' or as "
            "'COCO 1.0'"
        ) from error
    return builder


def _shapes(image: ElementTree.Element) -> list[ElementTree.Element]:
    """What was drawn on an image."""
    return [shape for shape in image if 'label' in shape.attrib and shape.tag != 'tag']


def _label_names(root: ElementTree.Element) -> set[str]:
    """Labels of the task; not the joints of a skeleton, and not those that only tag images."""
    return {
        name
        for label in root.iter('label')
        if (name := label.findtext('name'))
        and label.find('parent') is None
        and label.findtext('type') != 'tag'
    }


def _bbox(shape: ElementTree.Element) -> list[float]:
    """The box x, y, w, h around a shape."""
    values = shape.attrib
    if shape.tag == 'mask':
        return [float(values[key]) for key in ('left', 'top', 'width', 'height')]
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
        centre, radius = (
            [float(values[key]) for key in keys] for keys in (('cx', 'cy'), ('rx', 'ry'))
        )
        points = ellipse_corners(centre, radius, float(values.get('rotation', 0)))
    elif shape.tag == 'cuboid':  # the corners of its front and back
        axes = [
            [float(v) for key, v in values.items() if re.match(f'{a}[tb][lr]', key)] for a in 'xy'
        ]
        points = np.array(axes).T
    elif 'points' in values:
        points = _points(values['points'])
    elif shape.tag == 'skeleton':
        points = np.vstack([_points(joint.attrib['points']) for joint in shape.iter('points')])
    else:
        raise ValueError(f'a shape <{shape.tag}> has no points')
    return box_around(points)


def _points(text: str) -> np.ndarray:
    """Points, shape (n, 2), of ``x,y;x,y``."""
    return np.array([[float(v) for v in point.split(',')] for point in text.split(';')])
