"""Cervical cells in COCO format, with the faults of real annotation files said aloud."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS
from mmengine.fileio import LocalBackend
from mmengine.logging import print_log

from ..errors import DatasetError, ImageFileError
from ..image_files import check_image_file
from .bag_audit import teaches_by_image_labels
from .coco_json import CocoFile, missing_classes, plain_name, quoted, read_coco, storage_of
from .files import find_images, frame_fault, image_header, reading_notes
from .label_counts import warn as _warn
from .palette import class_palette
from .splits import Fold

__all__ = ['FULL_NAMES', 'CervicalCellDataset']

#: What the short class names of the Comparison Detector data and of CRIC stand for.
FULL_NAMES = {
    'ascus': 'atypical squamous cells of undetermined significance (ASC-US)',
    'asch': 'atypical squamous cells, cannot exclude HSIL (ASC-H)',
    'lsil': 'low-grade squamous intraepithelial lesion (LSIL)',
    'hsil': 'high-grade squamous intraepithelial lesion (HSIL)',
    'scc': 'squamous cell carcinoma (SCC)',
    'agc': 'atypical glandular cells (AGC)',
    'trichomonas': 'Trichomonas vaginalis',
    'candida': 'Candida',
    'flora': 'shift in vaginal flora (bacterial vaginosis)',
    'herps': 'herpes simplex virus',
    'actinomyces': 'Actinomyces',
    'nilm': 'negative for intraepithelial lesion or malignancy (NILM)',
}

_MOST_DECODED = 20  # images of more than 8 bits that are looked into before a training

_CLASSES = tuple(name for name in FULL_NAMES if name != 'nilm')
_COLORS = [tuple(int(c) for c in color) for color in class_palette(len(_CLASSES))]
# 'nilm', normal cells: the one colour that none of the eleven classes has
_COLOR_OF = {**dict(zip(_CLASSES, _COLORS, strict=True)), 'nilm': (187, 187, 187)}


@DATASETS.register_module()
class CervicalCellDataset(CocoDataset):
    """Cervical cells in COCO format; by default the paper's eleven classes.

    Takes what :class:`mmdet.datasets.CocoDataset` takes. ``metainfo=dict(classes=(...))`` chooses
    other classes, or some of the file's; known ones keep their colour.

    The file is read by :func:`~ldwsccd_mmdet.datasets.coco_json.read_coco`, which puts right what
    exporters write; evaluation, report and converters read the same content. Labels are numbered in
    the order of ``metainfo.classes``, whatever the order and the ids of the file's categories.

    A file that can't be used raises one :class:`~ldwsccd_mmdet.errors.DatasetError`: it is missing
    or not COCO JSON, has not the classes asked for (mmdet itself goes on, to a silent mAP of 0; a
    set that is tested on may lack some), has no label left, or names images that are not there, or
    that are not of the size that it gives. What can be left out is left out, with one warning a
    file that counts it: boxes of no area or less than 1 px wide or high, of negative size, with
    numbers that aren't finite, wholly outside their image, and those of classes not asked for. A
    box partly outside stays as it is, as in mmdet: the transforms clip it (``Resize``,
    ``RandomCrop``). An image without boxes stays in training if
    ``filter_cfg=dict(filter_empty_gt=False)``.

    An image's record may hold a label of the whole image, without boxes: ``image_labels``, a list
    of class names, or ``image_label``, one name (in CRIC, only the worst class in the image). It
    becomes ``image_labels``, a tuple of class indices, which
    ``PackCellInputs`` hands to the model. Names that are not among
    the classes are left out; a record without either key has none of it.

    A record's ``supervision`` says what may teach: ``'box'`` its boxes, ``'image'`` only its
    ``image_labels``. Without the key, an image with image labels and no box that could teach
    (crowds can't) is one of ``'image'``. It is decided here, once, and handed on in the same way.
    ``filter_empty_gt`` keeps an image of ``supervision='image'``: it has no boxes by design.

    Mined boxes (``ldwsccd mine``) come beside the annotated ones, each with the
    probability that it is a cell: ``ignore_flag`` is one minus that. :class:`LoadCellAnnotations`
    and :class:`PackCellInputs` hand it to the model; with mmdet's own transforms these boxes are
    ignored.

    A set without images for validation can do with some of those for training: with
    ``fold=dict(of=10, leave_out=0)`` a training leaves a tenth of them out, and with
    ``fold=dict(of=10, only=0)`` a validation that names the same ``ann_file`` has just these.

    Args:
        *args: See :class:`mmdet.datasets.CocoDataset`.
        fold: Arguments of :class:`~ldwsccd_mmdet.datasets.splits.Fold`; None: all images.
        mined_file: Boxes in COCO form with ``prob``, of the same images; joined to ``data_root``.
        check_images: Whether to look, once, if every image file is there, and of the size that its
            record gives. Only files on a local disk are looked for. Default: True.
        **kwargs: See :class:`mmdet.datasets.CocoDataset`.

    Raises:
        DatasetError: See above; the message names the file, what was found and the remedy.
    """

    METAINFO = {'classes': _CLASSES, 'palette': _COLORS}
    FULL_NAMES = FULL_NAMES

    def __init__(
        self,
        *args: Any,
        mined_file: str = '',
        check_images: bool = True,
        fold: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.fold = None if fold is None else Fold(**fold)
        self.mined_file = mined_file
        self.check_images = check_images
        super().__init__(*args, **kwargs)

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        """Merge ``metainfo`` into the defaults, check the classes and colour them."""
        merged = super()._load_metainfo(metainfo)
        classes = merged.get('classes')
        if not classes or isinstance(classes, str) or len(set(classes)) != len(classes):
            raise DatasetError(
                f'metainfo.classes is {classes!r}: expected class names, each once, as in '
                "metainfo=dict(classes=('lsil', 'hsil')); one class needs its comma, ('lsil',)"
            )
        if metainfo and 'classes' in metainfo and 'palette' not in metainfo:
            spare = [_COLOR_OF[name] for name in _COLOR_OF if name not in classes]
            merged['palette'] = [
                _COLOR_OF[name]
                if name in _COLOR_OF
                else (spare.pop(0) if spare else _COLORS[index % len(_COLORS)])
                for index, name in enumerate(classes)
            ]
        merged['classes'] = tuple(classes)
        return merged

    def load_data_list(self) -> list[dict]:
        """Load the annotation file; say what was put right and what was left out."""
        file = read_coco(self.ann_file, self.ann_file, self.backend_args)
        if self.fold is not None:
            file = replace(file, content=self.fold.take(file.content))
        self._counts = file.counts()
        self._counts.boxes = self._counts.crowds = self._counts.image_labels = 0
        self._names = {c['id']: c['name'] for c in file.content['categories']}
        self.cat_ids = self._find_categories(file)
        self.cat2label = {cat_id: i for i, cat_id in enumerate(self.cat_ids) if cat_id is not None}
        self._class_index = {name: i for i, name in enumerate(self.metainfo['classes'])}
        self._mined = self._load_mined()
        self.cat_img_map: dict[Any, list[int]] = defaultdict(list)
        by_image: dict[int, list[dict]] = defaultdict(list)
        for annotation in file.content['annotations']:
            by_image[annotation['image_id']].append(annotation)
        data_list = [
            self.parse_data_info(
                {
                    'raw_img_info': {**image, 'img_id': image['id']},
                    'raw_ann_info': by_image[image['id']],
                }
            )
            for image in file.content['images']
        ]
        if file.mended:
            listed = '; '.join(f'{count} {what}' for what, count in file.mended.most_common())
            print_log(f"'{self.ann_file}': put right: {listed}", logger='current')
        self._check_labels()
        return data_list

    def _find_categories(self, file: CocoFile) -> list[int | None]:
        """Find the category of each class, in the order of the classes; None where it has none."""
        classes = list(self.metainfo['classes'])
        ids = {c['name']: c['id'] for c in file.content['categories']}
        missing, wrong = missing_classes(classes, list(ids), may_lack=self.test_mode)
        if wrong is not None:
            example = {'id': max(ids.values(), default=0) + 1, 'name': missing[0]}
            raise DatasetError(
                f'classes {", ".join(missing)} are not in the annotation file: asked for '
                f"({', '.join(classes)}), but '{file.source}' has ({', '.join(ids)})"
                f'{wrong and "; " + wrong}; set metainfo=dict(classes={quoted(ids)}), names of the '
                'file, spelt as there; or, if the file just has none of a class, add it to its '
                f'categories, as {json.dumps(example)}'
            )
        if missing:
            _warn(
                f"'{file.source}' has no category {quoted(missing)}: nothing of it can be found "
                'there, so its AP is not defined on this set'
            )
        return [ids.get(name) for name in classes]

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one image's record and annotations; leave out those of other classes."""
        image = raw_data_info['raw_img_info']
        annotations = []
        for annotation in raw_data_info['raw_ann_info']:
            if annotation['category_id'] in self.cat2label:
                annotations.append(annotation)
            else:
                self._counts.other_classes[self._names[annotation['category_id']]] += 1
        data_info = super().parse_data_info({'raw_img_info': image, 'raw_ann_info': annotations})
        for instance, annotation in zip(data_info['instances'], annotations, strict=True):
            instance['area'] = annotation['area']
            self._counts.boxes += not annotation['iscrowd']
            self._counts.crowds += annotation['iscrowd']
            self.cat_img_map[annotation['category_id']].append(image['img_id'])
        data_info['instances'] += self._mined.get(image['file_name'], [])
        labels = self._image_labels(image)
        if labels is not None:
            data_info['image_labels'] = labels
            self._counts.image_labels += bool(labels)
        supervision = self._supervision(image, data_info)
        if supervision is not None:
            data_info['supervision'] = supervision
        return data_info

    def _load_mined(self) -> dict[str, list[dict]]:
        """Read the mined boxes of each image, by its file name."""
        if not self.mined_file:
            return {}
        path = str(Path(self.data_root or '') / self.mined_file)
        content = read_coco(path, path, self.backend_args).content
        names = {category['id']: category['name'] for category in content['categories']}
        files = {image['id']: image['file_name'] for image in content['images']}
        labels = {name: i for i, name in enumerate(self.metainfo['classes'])}
        mined: dict[str, list[dict]] = defaultdict(list)
        for annotation in content['annotations']:
            label = labels.get(names[annotation['category_id']])
            prob = annotation.get('prob')
            if not isinstance(prob, (int, float)) or not 0 < prob < 1:
                raise DatasetError(
                    f"mined_file '{path}': annotation {annotation['id']} has prob {prob!r}: "
                    'expected a number between 0 and 1; write it with ldwsccd mine'
                )
            if label is not None:
                x, y, w, h = annotation['bbox']
                mined[files[annotation['image_id']]].append(
                    dict(bbox=[x, y, x + w, y + h], bbox_label=label, ignore_flag=1 - prob)
                )
        return mined

    def _supervision(self, image: Mapping, data_info: Mapping) -> str | None:
        """Decide what teaches in an image, once, before augmentation takes boxes away.

        Returns:
            ``'box'`` or ``'image'``; None where there is nothing to decide.
        """
        supervision = image.get('supervision')
        if supervision is None:
            if 'image_labels' not in data_info:
                return None
            return 'image' if teaches_by_image_labels(data_info) else 'box'
        if supervision not in ('box', 'image'):
            raise DatasetError(
                f"'{self.ann_file}': image '{image['file_name']}' has supervision "
                f"{supervision!r}: expected 'box' or 'image'; mend the record, or leave the key out"
            )
        if supervision == 'image' and not {'image_labels', 'image_label'} & set(image):
            raise DatasetError(
                f"'{self.ann_file}': image '{image['file_name']}' has supervision 'image' but no "
                'image_labels: add the list of its classes ([] if none occurs)'
            )
        bare = teaches_by_image_labels({**data_info, 'supervision': None})
        return 'image' if bare else supervision

    def _image_labels(self, image: Mapping) -> tuple[int, ...] | None:
        """Read an image's own labels as class indices; None if it has none."""
        names = image.get('image_labels', image.get('image_label'))
        if names is None:
            return None
        listed = names if isinstance(names, (list, tuple)) else [names]
        wrong = [n for n in listed if isinstance(n, bool) or not isinstance(n, (str, int, float))]
        if wrong:
            raise DatasetError(
                f"'{self.ann_file}': image '{image['file_name']}' has the image labels {names!r}: "
                'expected a list of class names; mend the record'
            )
        names = [plain_name(str(name)) for name in listed]
        self._counts.other_labels.update(n for n in names if n not in self._class_index)
        return tuple(sorted({self._class_index[n] for n in names if n in self._class_index}))

    def _check_labels(self) -> None:
        """Raise if no label is left; say once, with counts, what of the file is not used."""
        counts = self._counts
        problem = counts.problem()
        if problem is None and not counts.image_labels:
            _, wrong = missing_classes(
                list(counts.other_labels), self.metainfo['classes'], may_lack=True
            )
            if wrong:
                problem = (
                    f"no image label of '{self.ann_file}' is a class: {wrong}; spell them as the "
                    'classes'
                )
        if problem is not None:
            raise DatasetError(problem)
        warning = counts.warning()
        if warning:
            _warn(warning)

    def filter_data(self) -> list[dict]:
        """Choose the images by ``filter_cfg``; check that their files are there."""
        for data_info in self.data_list:
            if data_info.get('supervision') == 'image' and self.cat_ids:
                # CocoDataset keeps what this index names, boxes or not
                self.cat_img_map[self.cat_ids[0]].append(data_info['img_id'])
        data_list = super().filter_data()
        if not data_list:
            raise DatasetError(
                f"no image of '{self.ann_file}' is left ({len(self.data_list)} in the file, "
                f'filter_cfg={self.filter_cfg}): check the file, or keep images without boxes with '
                'filter_cfg=dict(filter_empty_gt=False)'
            )
        if self.check_images:
            self._check_images(data_list)
        return data_list

    def _check_images(self, data_list: list[dict]) -> None:
        """Find the image files, and check that they are of the frame that the boxes are of."""
        paths = [data_info['img_path'] for data_info in data_list]
        if not paths or not self._is_local(paths[0]):
            return
        folder = self.data_prefix.get('img') or '.'
        names = [os.path.relpath(path, folder) for path in paths]
        found = find_images(folder, names)
        found.require(
            folder,
            self.ann_file,
            'put them there, or mend data_root and data_prefix.img in the config',
        )
        if found.near:
            _warn(f"'{self.ann_file}': {found.note}")
        wrong = []
        notes: Counter[str] = Counter()
        num_deep = 0
        for data_info, name in zip(data_list, names, strict=True):
            path = found.paths[name]
            if name in found.near:
                data_info['img_path'] = str(path)
            try:
                header = image_header(path)
            except ImageFileError:
                continue  # the pipeline names it when it loads it
            num_deep += header.bits > 8
            notes.update(reading_notes(path, header, decode=num_deep <= _MOST_DECODED))
            size = data_info['width'], data_info['height']
            fault = frame_fault(size, header)
            if fault is not None:
                wrong.append((name, header.size, size, fault))
        if notes:
            listed = '; '.join(f'{count} images {what}' for what, count in notes.items())
            _warn(f"'{self.ann_file}': {listed}; ldwsccd doctor lists them")
        if wrong:
            raise DatasetError(self._say_wrong(wrong, len(data_list)))

    def _say_wrong(self, wrong: Sequence[tuple], count: int) -> str:
        """Name the first of the images that are of another frame than their boxes."""
        name, (width, height), (w, h), fault = wrong[0]
        return (
            f"{len(wrong)} of {count} images of '{self.ann_file}' are not of the "
            f"frame that their boxes are of: '{name}' is {width} x {height} px, the file says "
            f'{w:g} x {h:g} ({fault}); give the images that were labelled, or convert the boxes'
            ' and sizes; tools/dataset_doctor.py lists all'
        )

    def prepare_data(self, idx: int) -> Any:
        """Run the pipeline; name the image file if that is why it fails.

        mmcv's loader fails with an assertion, an error of OpenCV or of the file system.
        """
        try:
            return super().prepare_data(idx)
        except (AssertionError, OSError, cv2.error):
            path = self.get_data_info(idx)['img_path']
            if self._is_local(path):
                check_image_file(path)
            raise

    def _is_local(self, path: str) -> bool:
        """Tell whether a path is one on a local disk."""
        return isinstance(storage_of(path, self.backend_args), LocalBackend)
