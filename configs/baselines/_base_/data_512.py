"""The data of every baseline: one of ../../_base_/datasets, brought to 512 x 512.

CELL_DATA says which: ccd (default), cric, bccd, or NAME of your own NAME_detection.py there.
"""

_base_ = '../../_base_/datasets/{{$CELL_DATA:ccd}}_detection.py'

input_size = 512

# CervicalCellDataset has the paper's 11 classes unless the data set names others
_metainfo = _base_.train_dataloader.dataset.get('metainfo')
num_classes = len(_metainfo.classes) if _metainfo else 11


def at(pipeline, size):
    """The same pipeline at another image size."""
    return [dict(t, scale=(size, size)) if t['type'] == 'Resize' else t for t in pipeline]


train_pipeline = at(_base_.train_dataloader.dataset.pipeline, input_size)
test_pipeline = at(_base_.val_dataloader.dataset.pipeline, input_size)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
