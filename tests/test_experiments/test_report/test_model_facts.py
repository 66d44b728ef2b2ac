from pathlib import Path

from mmengine.config import Config

from ldwsccd_mmdet.experiments.report.model_facts import (
    augmentation,
    image_size,
    schedule,
    starting_weights,
)

ROOT = Path(__file__).resolve().parents[3]


def load(name):
    return Config.fromfile(ROOT / f'configs/{name}_adamw_ccd.py')


def test_a_plain_data_set():
    cfg = load('ssd/ssd300_vgg16')
    assert image_size(cfg) == (300, 300)
    assert augmentation(cfg) == 'Expand, MinIoURandomCrop, RandomFlip, StainDistortion'
    assert schedule(cfg) == 'AdamW 0.0002, cosine, 120 epochs, batch 10'
    assert starting_weights(cfg) == 'open-mmlab://vgg16_caffe'


def test_images_laid_together():
    cfg = load('yolov4/yolov4_csp-d53')
    assert image_size(cfg) == (512, 512)
    assert augmentation(cfg) == 'Mosaic, RandomCrop, RandomFlip, StainDistortion'
    assert starting_weights(cfg) == 'scratch'


def test_little_to_say():
    cfg = Config(
        dict(
            model=dict(),
            train_cfg=dict(max_epochs=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=1)),
            train_dataloader=dict(
                batch_size=4, dataset=dict(pipeline=[dict(type='PackDetInputs')])
            ),
        )
    )
    assert (image_size(cfg), augmentation(cfg)) == (None, 'none')
    assert schedule(cfg) == 'SGD 1, constant, 2 epochs, batch 4'
