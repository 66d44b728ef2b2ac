"""Points with a class in a CSV file, as CRIC publishes its nuclei."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...datasets.files import find_images, read_text
from ...errors import ConfigError, DatasetError
from .class_names import BETHESDA_CLASSES, ClassMap
from .coco_builder import CocoBuilder

__all__ = ['CRIC_COLUMNS', 'read_points']

#: Columns of CRIC's csv for image file, class, x and y.
CRIC_COLUMNS = ('image_filename', 'bethesda_system', 'nucleus_x', 'nucleus_y')

_MOST_BYTES = 1 << 30  # of a table


def read_points(
    csv_file: str | Path,
    image_dir: str | Path,
    box_size: float,
    class_map: ClassMap | None = None,
    columns: Sequence[str] = CRIC_COLUMNS,
    frame: tuple[float, float] | None = None,
    skip_missing: bool = False,
) -> tuple[CocoBuilder, dict[str, Path]]:
    """Read points, and put a square box of one size around each.

    Such a box says where a nucleus is, not how large it is: report AP50, not AP75. It is clipped to
    its image (how many is kept in ``info``). Its annotation keeps the point as ``nucleus``, x and y
    in pixels of the image.

    Args:
        csv_file: The table, with a header.
        image_dir: Folder of the images.
        box_size: Side of the square, pixels of ``frame``.
        class_map: Classes of the set; by default CRIC's six, in its own or any usual spelling.
        columns: Names of the columns with image file, class, x and y.
        frame: Width and height of the frame in which the points are given, pixels; by default each
            image's own. CRIC's is 1376 x 1020: give it if your copies have another size.
        skip_missing: Leave out points of images that are not there, instead of an error.

    Returns:
        The records, and where each image lies by its file name.

    Raises:
        ConfigError: ``box_size`` is not positive.
        DatasetError: Columns or images are missing, a value is no number, a class is unknown.
    """
    if not box_size > 0:
        raise ConfigError(f'--box-size is {box_size:g}: expected pixels, more than 0')
    class_map = class_map or ClassMap(BETHESDA_CLASSES)
    points = _read_points(Path(csv_file), columns)
    counts = Counter(name for cells in points.values() for name, _, _ in cells)
    classes = class_map.check(counts, str(csv_file))
    images, missing = _find_images(csv_file, image_dir, points, skip_missing)
    builder = CocoBuilder(
        classes,
        f'Points of {Path(csv_file).name}: each box is a fixed square',
        box_size=box_size,
        frame=frame,
        images_missing=missing,
        boxes_clipped=0,
    )
    if missing:
        builder.left_out['of an image that is not there'] = sum(
            len(cells) for file, cells in points.items() if file not in images
        )
    for file, path in images.items():
        image_id = builder.add_image_file(file, path)
        _add_squares(builder, image_id, points[file], class_map, box_size, frame)
    return builder, images


def _find_images(
    csv_file: str | Path,
    image_dir: str | Path,
    points: Mapping[str, Sequence[Any]],
    skip_missing: bool,
) -> tuple[dict[str, Path], int]:
    """Where the images of the points lie, and how many are not there."""
    found = find_images(image_dir, points)
    if not skip_missing:
        found.require(
            image_dir,
            str(csv_file),
            'check --images, or leave their points out with --skip-missing',
        )
    images = {file: found.paths[file] for file in points if file in found.paths}
    if not images:
        raise DatasetError(f"no image of '{csv_file}' is in '{image_dir}': check --images")
    return images, len(found.missing)


def _add_squares(
    builder: CocoBuilder,
    image_id: int,
    points: Sequence[tuple[str, float, float]],
    class_map: ClassMap,
    box_size: float,
    frame: tuple[float, float] | None,
) -> None:
    """Add a square around each point of an image, the last one that was added; clip it."""
    width, height = (builder.images[-1][key] for key in ('width', 'height'))
    scale_x, scale_y = (width / frame[0], height / frame[1]) if frame else (1.0, 1.0)
    half_w, half_h = box_size * scale_x / 2, box_size * scale_y / 2
    for name, x, y in points:
        x, y = x * scale_x, y * scale_y
        if not (0 <= x <= width and 0 <= y <= height):
            builder.left_out['whose point is outside the image'] += 1
            continue
        corners = (x - half_w, y - half_h, x + half_w, y + half_h)
        x1, y1 = max(corners[0], 0.0), max(corners[1], 0.0)
        x2, y2 = min(corners[2], float(width)), min(corners[3], float(height))
        kept = builder.add_box(
            image_id, class_map(name), [x1, y1, x2 - x1, y2 - y1], nucleus=[x, y]
        )
        builder.info['boxes_clipped'] += kept and (x1, y1, x2, y2) != corners


def _read_points(file: Path, columns: Sequence[str]) -> dict[str, list[tuple[str, float, float]]]:
    """Class, x and y of each point, by image file."""
    points: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for name, label, x, y in _read_rows(file, columns):
        points[name].append((label, x, y))
    return points


def _read_rows(file: Path, columns: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """Read image file, class, x and y of each row."""
    try:
        text = read_text(file, _MOST_BYTES)
        with io.StringIO(text, newline='') as stream:
            # a spreadsheet of a country with decimal commas parts cells by semicolons
            first = text.partition('\n')[0]
            delimiter = max(',;\t', key=first.count)
            table = csv.DictReader(stream, delimiter=delimiter)
            header = table.fieldnames = [name.strip() for name in table.fieldnames or []]
            lacking = [name for name in columns if name not in header]
            if lacking:
                raise DatasetError(
                    f"'{file}' has no column {', '.join(lacking)}: found {', '.join(header)}; "
                    'name its columns with --columns FILE CLASS X Y'
                )
            rows = []
            for row in table:
                name, label, *point = (row[key] for key in columns)
                if not any((value or '').strip() for value in (name, label, *point)):
                    continue  # blank lines of a spreadsheet
                try:
                    plain = [v.replace(',', '.') if delimiter == ';' else v for v in point]
                    x, y = (float(value) for value in plain)
                    if not (math.isfinite(x) and math.isfinite(y)):
                        raise ValueError
                except (TypeError, ValueError, AttributeError) as error:
                    raise DatasetError(
                        f"'{file}', line {table.line_num}: {columns[2]} and {columns[3]} are "
                        f'{point}, expected numbers; mend or delete the line'
                    ) from error
                rows.append((name, label, x, y))
    except csv.Error as error:
        raise DatasetError(f"'{file}' cannot be read as a CSV table ({error})") from error
    if not rows:
        raise DatasetError(f"'{file}' has no row below its header: expected one row a cell")
    return rows
