"""All checks of a set, and what came of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ...datasets.coco_json import CocoFile, read_coco
from ...datasets.files import FoundImages, find_images
from .annotations import (
    box_items,
    check_boxes,
    check_classes,
    check_images_and_ids,
    check_labels,
    check_overlaps,
    good_boxes,
)
from .duplicates import check_duplicates
from .finding import LEVELS, Finding
from .images import check_image_files, check_near_names, scan_images
from .missing_cells import MissingCellsEstimate
from .priors import (
    PriorFit,
    check_priors,
    fit_priors,
    prior_settings,
)

__all__ = ['Examination', 'Split', 'examine', 'read_split']


@dataclass(frozen=True)
class Split:
    """An annotation file and the folder of its images."""

    name: str
    coco: dict[str, Any]
    image_dir: Path
    file: CocoFile | None = None

    @cached_property
    def found(self) -> FoundImages:
        """Where the images lie."""
        return find_images(self.image_dir, [image['file_name'] for image in self.coco['images']])

    def path(self, file_name: str) -> Path:
        """Return where an image lies."""
        return self.found.paths.get(file_name, self.image_dir / file_name)


@dataclass
class Examination:
    """What the checks of a set say.

    Attributes:
        split: The set.
        findings: Worst first.
        classes: For each class its number of boxes, of images, and quantiles (5, 50 and 95 %) of
            the square root of its boxes' areas, pixels of the image.
        priors: How the config's anchors fit; None without a config.
        missing: How many cells of each class, and of all, may have no box; None where no detector
            has looked for them.
    """

    split: Split
    findings: list[Finding] = field(default_factory=list)
    classes: dict[str, dict[str, Any]] = field(default_factory=dict)
    priors: PriorFit | None = None
    missing: list[MissingCellsEstimate] | None = None

    def count(self, level: str) -> int:
        """Return how many findings are of a level."""
        return sum(finding.level == level for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            'set': self.split.name,
            'images': len(self.split.coco['images']),
            'boxes': len(self.split.coco['annotations']),
            'classes': self.classes,
            'findings': [finding.as_dict() for finding in self.findings],
            'priors': self.priors and self.priors.as_dict(),
            'missing': self.missing and [row.as_dict() for row in self.missing],
        }


def read_split(path: str | Path, image_dir: str | Path | None = None) -> Split:
    """Read an annotation file; its images are beside it in ``images/`` unless said otherwise."""
    folder = Path(image_dir) if image_dir else Path(path).parent / 'images'
    file = read_coco(path)
    return Split(str(path), file.everything, folder, file)


def examine(
    split: Split,
    others: Sequence[Split] = (),
    config: Config | None = None,
    iou_thr: float = 0.5,
    open_images: bool = True,
    workers: int = 2,
    progress: Callable[[], Any] | None = None,
) -> Examination:
    """Run all checks on a set.

    Args:
        split: The set.
        others: Its other splits: for images in more than one of them, and for the order of classes.
        config: A config whose anchors and input size the boxes are compared with.
        iou_thr: Overlap at which an anchor is a box's.
        open_images: Whether to look into the image files.
        workers: Threads that decode.
        progress: Called once an image.
    """
    coco = split.coco
    findings = [
        *(check_labels(split.file) if split.file is not None else ()),
        *check_images_and_ids(coco),
        *check_classes(coco, {other.name: other.coco for other in others}),
        *check_boxes(coco),
        *check_overlaps(coco),
    ]
    result = Examination(split, classes=_class_table(coco))
    if config is not None:
        result.priors, found = _examine_priors(coco, config, iou_thr)
        findings += found
    if open_images:
        records = [(s, image) for s in (split, *others) for image in s.coco['images']]
        files = [image['file_name'] for _, image in records]
        paths = [s.path(image['file_name']) for s, image in records]
        scans = scan_images(paths, workers, progress)
        findings += check_image_files(coco['images'], scans[: len(coco['images'])])
        findings += check_near_names(split.found)
        findings += check_duplicates(files, scans, [s.name for s, _ in records])
    result.findings = sorted(findings, key=lambda f: -LEVELS.index(f.level))
    return result


def _examine_priors(
    coco: Mapping[str, Any], config: Config, iou_thr: float
) -> tuple[PriorFit | None, list[Finding]]:
    boxes = [a for a in good_boxes(coco) if not a.get('iscrowd')]
    generator, input_size, keep_ratio = prior_settings(config)
    if not boxes:
        return None, []
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    fit, matched = fit_priors(
        np.array([a['bbox'] for a in boxes], float),
        np.array([sizes[a['image_id']] for a in boxes], float),
        generator,
        input_size,
        keep_ratio,
        iou_thr,
    )
    return fit, check_priors(fit, matched, box_items(coco, boxes))


def _class_table(coco: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Count boxes and images of each class, and measure the boxes."""
    boxes = good_boxes(coco)
    label = np.array([a['category_id'] for a in boxes])
    side = np.sqrt([a['bbox'][2] * a['bbox'][3] for a in boxes])
    pairs = {(a['category_id'], a['image_id']) for a in boxes}
    images = Counter(category for category, _ in pairs)
    table = {}
    for category in coco['categories']:
        sides = side[label == category['id']] if len(boxes) else side
        quantiles = np.quantile(sides, [0.05, 0.5, 0.95]) if len(sides) else []
        table[category['name']] = {
            'boxes': len(sides),
            'images': images[category['id']],
            'side': [round(float(value), 1) for value in quantiles],
        }
    return table
