"""The table of the commands: to add one, add a line here and the module that it names.

The module has ``add_arguments(parser)`` and ``main(args)``, which returns the exit code or nothing
for 0, and may have ``check(args, parser)`` for what arguments mean together. It imports torch,
mmdet and ``ldwsccd_mmdet`` inside ``main`` only. Its docstring stands above its arguments.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ['COMMANDS', 'CONVERTERS', 'Command']


class Command(NamedTuple):
    """A command: its module in this package, and what it does in one line."""

    module: str
    help: str


#: ``ldwsccd convert NAME``
CONVERTERS = {
    'voc': Command('convert_voc', 'a Pascal VOC folder to COCO json'),
    'yolo': Command('convert_yolo', 'YOLO text files to COCO json'),
    'to-yolo': Command('convert_to_yolo', 'COCO json to YOLO text files'),
    'points': Command('convert_points', "a table of points, as CRIC's, to COCO json"),
    'ccd': Command('convert_ccd', "the Comparison Detector's data, the paper's set"),
}

#: ``ldwsccd NAME``, in the order of the help
COMMANDS: dict[str, Command | dict[str, Command]] = {
    'train': Command('train', 'train a detector'),
    'test': Command('test', 'test a detector'),
    'compare': Command('compare', 'train and test several configs and seeds; one page'),
    'half-the-boxes': Command('half_the_boxes', 'what the method gives where boxes are missing'),
    'report': Command('report', 'one HTML page on trained detectors'),
    'demo': Command('demo', 'the whole method on drawn smears, and its page'),
    'predict': Command('predict', 'find cells in images, folders and slides'),
    'export': Command('export', 'a student as ONNX or OpenVINO'),
    'publish': Command('publish', 'a checkpoint to give away'),
    'new': Command('new', 'start from your own annotated images'),
    'doctor': Command('doctor', 'check a data set before training on it'),
    'convert': CONVERTERS,
    'weaken': Command('weaken', 'a copy of a set with weaker labels'),
    'find-missing': Command('find_missing', 'find the cells that have no box, in one command'),
    'hide': Command('hide', 'leave boxes out, to see later which of them a detector finds'),
    'mine': Command('mine', 'find cells that have no box, and how many boxes are missing'),
    'compose': Command('compose', 'scenes with exact boxes from crops of cells'),
    'draw': Command('draw', 'a data set of synthetic smears with exact boxes'),
    'browse': Command('browse', "pictures of a config's data, augmentations included"),
    'browse-distillation': Command('browse_distillation', 'pictures of what distillation sees'),
    'browse-pseudo-boxes': Command('browse_pseudo_boxes', 'pictures of pseudo-boxes'),
    'calibrate': Command('calibrate', 'weights that give the distillation a share of the loss'),
    'audit': Command('audit', 'classes that image labels cannot teach'),
    'recall': Command('recall', 'cells that proposed regions reach'),
    'anchors': Command('anchors', 'anchors that fit the boxes of a set, by k-means'),
    'svm': Command('svm', 'the second stage of R-CNN and SPP-Net: machines and boxes'),
    'vgg': Command('vgg', "ImageNet's VGG as weights of SSD's backbone, FC layers included"),
    'darknet': Command('darknet', "Darknet's weights of YOLO as a checkpoint"),
}
