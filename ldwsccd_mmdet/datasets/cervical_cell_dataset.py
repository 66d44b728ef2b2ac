"""Cervical cells in COCO format, with the faults of real annotation files said aloud."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.logging import print_log

from ..errors import DatasetError
from .boxes import box_fault, first_items
from .coco_json import load_coco
from .files import require_images
from .palette import class_palette

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

_CLASSES = tuple(name for name in FULL_NAMES if name != 'nilm')
_COLORS = [tuple(int(c) for c in color) for color in class_palette(len(_CLASSES))]
# 'nilm', normal cells: the one colour that none of the eleven classes has
_COLOR_OF = {**dict(zip(_CLASSES, _COLORS, strict=True)), 'nilm': (187, 187, 187)}


class _CheckedCOCO(COCO):
    """pycocotools' index of an annotation file, which says what is wrong with the file.

    Args:
        annotation_file: Path on a local disk.
        source: The file as the config gives it, for messages; the former may be a local copy.
    """

    def __init__(self, annotation_file: str, source: str) -> None:
        self.source = source
        content = load_coco(annotation_file, source)
        super().__init__()
        self.dataset = content
        self.createIndex()
        lost = [str(a['id']) for a in content['annotations'] if a['image_id'] not in self.imgs]
        if lost:
            listed = first_items(lost)
            _warn(f"'{source}': {len(lost)} boxes belong to no image of the file ({listed})")
        self.img_ann_map, self.cat_img_map = self.imgToAnns, self.catToImgs

    def get_cat_ids(
        self, cat_names: Sequence[str] = (), sup_names: Sequence = (), cat_ids: Sequence = ()
    ) -> list[int]:
        """Return the ids of the classes, in the order of the file; each class must be in it."""
        found = super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))
        if not cat_names:
            return found
        names = [category['name'] for category in self.dataset['categories']]
        in_file = [category['name'] for category in self.load_cats(found)]
        missing = [name for name in cat_names if name not in names]
        if missing:
            raise DatasetError(
                f'classes {", ".join(missing)} are not in the annotation file: asked for '
                f"({', '.join(cat_names)}), but '{self.source}' has ({', '.join(names)}); set "
                'metainfo=dict(classes=(...)) to names of the file, spelt as there'
            )
        if in_file != list(cat_names):
            # mmdet numbers labels in the order of the file, in its data set and in its metric
            raise DatasetError(
                f"classes stand in another order in '{self.source}': asked for "
                f'({", ".join(cat_names)}), there ({", ".join(in_file)}), and mmdet numbers them '
                'in the order of the file; set metainfo=dict(classes=(...)) to that order'
            )
        return found


@DATASETS.register_module()
class CervicalCellDataset(CocoDataset):
    """Cervical cells in COCO format; by default the paper's eleven classes.

    Takes what :class:`mmdet.datasets.CocoDataset` takes. ``metainfo=dict(classes=(...))`` chooses
    other classes, or some of the file's; known ones keep their colour.

    A file that can't be used raises one :class:`~ldwsccd_mmdet.errors.DatasetError`: it is missing
    or not COCO JSON, has not the classes asked for (mmdet itself goes on, to a silent mAP of 0),
    lists them in another order, or names images that are not there. What can be left out is left
    out, with one warning a file that counts it: boxes of no area or less than 1 px wide or high, of
    negative size, with numbers that aren't finite, wholly outside their image, and those of classes
    not asked for. A box partly outside stays as it is, as in mmdet: the transforms clip it
    (``Resize``, ``RandomCrop``). An image without boxes stays in training if
    ``filter_cfg=dict(filter_empty_gt=False)``.

    An image's record may hold a label of the whole image, without boxes: ``image_labels``, a list
    of class names, or ``image_label``, one name (in CRIC, only the worst class in the image). It
    becomes ``image_labels``, a tuple of class indices, which
    ``PackDetInputs(meta_keys=(..., 'image_labels'))`` hands to the model. Names that are not among
    the classes are left out; a record without either key has none of it.

    A record's ``supervision`` says what may teach: ``'box'`` its boxes, ``'image'`` only its
    ``image_labels``. It is handed on in the same way. ``filter_empty_gt`` keeps an image of
    ``supervision='image'``: it has no boxes by design.

    Mined boxes (``tools/mine_missing_boxes.py``) come beside the annotated ones, each with the
    probability that it is a cell: ``ignore_flag`` is one minus that. :class:`LoadCellAnnotations`
    and :class:`PackCellInputs` hand it to the model; with mmdet's own transforms these boxes are
    ignored.

    Args:
        *args: See :class:`mmdet.datasets.CocoDataset`.
        mined_file: Boxes in COCO form with ``prob``, of the same images; joined to ``data_root``.
        check_images: Whether to look, once, if every image file is there. Only files on a local
            disk are looked for. Default: True.
        **kwargs: See :class:`mmdet.datasets.CocoDataset`.

    Raises:
        DatasetError: See above; the message names the file, what was found and the remedy.
    """

    METAINFO = {'classes': _CLASSES, 'palette': _COLORS}
    FULL_NAMES = FULL_NAMES

    def __init__(
        self, *args: Any, mined_file: str = '', check_images: bool = True, **kwargs: Any
    ) -> None:
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
        """Load the annotation file; warn of what was left out."""
        if self._is_local(self.ann_file) and not Path(self.ann_file).is_file():
            raise DatasetError(
                f"annotation file '{self.ann_file}' does not exist: check data_root and ann_file "
                'in the config'
            )
        self._dropped: dict[str, list[str]] = defaultdict(list)
        self._other_classes: Counter[str] = Counter()
        self._other_labels: Counter[str] = Counter()
        self._class_index = {name: i for i, name in enumerate(self.metainfo['classes'])}
        self.COCOAPI = partial(_CheckedCOCO, source=self.ann_file)
        self._mined = self._load_mined()
        data_list = super().load_data_list()
        self._warn_of_omissions()
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Convert one image's record and annotations; leave out boxes that can't be."""
        image = raw_data_info['raw_img_info']
        annotations = []
        for annotation in raw_data_info['raw_ann_info']:
            fault = box_fault(
                annotation['bbox'], image['width'], image['height'], annotation.get('area')
            )
            if fault is not None:
                self._dropped[fault].append(str(annotation['id']))
            elif annotation['category_id'] not in self.cat2label:
                category = self.coco.cats.get(annotation['category_id'])
                name = f'category_id {annotation["category_id"]}, which the file does not name'
                self._other_classes[category['name'] if category else name] += 1
            else:
                if 'area' not in annotation:
                    width, height = annotation['bbox'][2:]
                    annotation = {**annotation, 'area': width * height}
                annotations.append(annotation)
        data_info = super().parse_data_info({'raw_img_info': image, 'raw_ann_info': annotations})
        data_info['instances'] += self._mined.get(image['file_name'], [])
        labels = self._image_labels(image)
        if labels is not None:
            data_info['image_labels'] = labels
        if 'supervision' in image:
            data_info['supervision'] = self._supervision(image)
        return data_info

    def _load_mined(self) -> dict[str, list[dict]]:
        """Read the mined boxes of each image, by its file name."""
        if not self.mined_file:
            return {}
        path = str(Path(self.data_root or '') / self.mined_file)
        content = load_coco(path)
        names = {category['id']: category['name'] for category in content['categories']}
        files = {image['id']: image['file_name'] for image in content['images']}
        mined: dict[str, list[dict]] = defaultdict(list)
        for annotation in content['annotations']:
            label = self._class_index.get(names[annotation['category_id']])
            prob = annotation.get('prob')
            if prob is None or not 0 < prob < 1:
                raise DatasetError(
                    f"mined_file '{path}': annotation {annotation['id']} has prob {prob!r}: "
                    'expected a number between 0 and 1; write it with tools/mine_missing_boxes.py'
                )
            if label is not None:
                x, y, w, h = annotation['bbox']
                mined[files[annotation['image_id']]].append(
                    dict(bbox=[x, y, x + w, y + h], bbox_label=label, ignore_flag=1 - prob)
                )
        return mined

    def _supervision(self, image: Mapping) -> str:
        """Read what may teach in an image: ``'box'`` or ``'image'``."""
        supervision = image['supervision']
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
        return supervision

    def _image_labels(self, image: Mapping) -> tuple[int, ...] | None:
        """Read an image's own labels as class indices; None if it has none."""
        names = image.get('image_labels', image.get('image_label'))
        if names is None:
            return None
        names = [names] if isinstance(names, str) else list(names)
        self._other_labels.update(name for name in names if name not in self._class_index)
        return tuple(sorted({self._class_index[n] for n in names if n in self._class_index}))

    def _warn_of_omissions(self) -> None:
        """Say once, with counts, what of the file is not used."""
        if self._dropped:
            kinds = '; '.join(
                f'{len(ids)} {fault} (annotation ids {first_items(ids)})'
                for fault, ids in sorted(self._dropped.items())
            )
            total = sum(map(len, self._dropped.values()))
            _warn(f"'{self.ann_file}': dropped {total} boxes: {kinds}")
        for what, counts in (('boxes', self._other_classes), ('image labels', self._other_labels)):
            if counts:
                listed = ', '.join(f'{name} ({count})' for name, count in counts.most_common())
                _warn(f"'{self.ann_file}': left out {what} of classes not asked for: {listed}")

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
        """Raise one error that lists the image files that are missing."""
        paths = [data_info['img_path'] for data_info in data_list]
        if paths and self._is_local(paths[0]):
            remedy = 'put them there, or mend data_root and data_prefix.img in the config'
            require_images(paths, self.ann_file, remedy)

    def _is_local(self, path: str) -> bool:
        """Tell whether a path is one on a local disk."""
        backend = get_file_backend(path, backend_args=self.backend_args)
        return isinstance(backend, LocalBackend)


def _warn(message: str) -> None:
    """Warn in the log of the run."""
    print_log(message, logger='current', level=logging.WARNING)
