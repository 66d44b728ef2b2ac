from functools import lru_cache

import numpy as np
import pytest

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.preparation.synthetic import CLASSES, SyntheticSmear
from ldwsccd_mmdet.preparation.synthetic.brush import (
    HEMATOXYLIN,
    LIGHT_GREEN,
    Brush,
    noise_bank,
)
from ldwsccd_mmdet.preparation.synthetic.optics import Optics
from ldwsccd_mmdet.preparation.synthetic.smear import DISTRACTORS, PAINTERS


@pytest.fixture(scope='module')
def smear():
    return SyntheticSmear()


_noise = lru_cache(noise_bank)


def _brush(seed, pixels_per_um=1.4):
    return Brush(np.random.default_rng(seed), _noise(pixels_per_um), pixels_per_um)


def _bounding_box(mask):
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [cols[0], rows[0], cols[-1] + 1, rows[-1] + 1]


def test_classes_are_the_papers():
    assert CLASSES == (
        'ascus',
        'asch',
        'lsil',
        'hsil',
        'scc',
        'agc',
        'trichomonas',
        'candida',
        'flora',
        'herps',
        'actinomyces',
    )
    assert tuple(PAINTERS) == CLASSES


def test_the_same_seed_draws_the_same_field(smear):
    first, again = smear.draw(7), SyntheticSmear().draw(7)
    other = smear.draw(8)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


def test_types_and_ranges(smear):
    image, boxes, labels = smear.draw(3)
    assert image.shape == (256, 256, 3) and image.dtype == np.uint8
    assert boxes.dtype == np.float32 and boxes.shape == (len(labels), 4)
    assert labels.dtype == np.int64 and labels.min() >= 0 and labels.max() < 11


@pytest.mark.parametrize('size', [(64, 96), (300, 200), (48, 48), (131, 257)])
def test_any_size_with_boxes_inside(size):
    smear = SyntheticSmear(*size, negative_fraction=0.0)
    total = 0
    for seed in range(12):
        image, boxes, _ = smear.draw(seed)
        assert image.shape == (*size, 3)
        assert (boxes[:, :2] >= 0).all()
        assert (boxes[:, 2] <= size[1]).all() and (boxes[:, 3] <= size[0]).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 4).all()
        total += len(boxes)
    assert total >= 12


def test_boxes_bound_their_silhouettes_and_nothing_is_mostly_hidden(smear):
    seen = 0
    for seed in range(15):
        field = smear.draw_smear(seed)
        for mask, box in zip(field.masks, field.boxes, strict=True):
            assert box.tolist() == _bounding_box(mask)
        assert (field.visible >= smear.min_visible - 1e-6).all()
        # Brute force: later silhouettes lie upon earlier ones.
        for index, mask in enumerate(field.masks):
            uncovered = mask & ~field.masks[index + 1 :].any(0)
            assert uncovered.sum() >= field.visible[index] * mask.sum() - 1e-3
        seen += len(field.boxes)
    assert seen > 30


@pytest.mark.parametrize('name', CLASSES)
def test_silhouette_is_what_was_painted(name):
    """Each class is painted alone: dye lies where the silhouette says, and hardly beyond."""
    for seed in range(4):
        specimen = PAINTERS[name](_brush(seed))
        assert specimen.mask.any()
        painted = specimen.amount.sum(2)
        strong = painted > 0.25 * np.percentile(painted[specimen.mask], 75)
        share = (strong & specimen.mask).sum() / strong.sum()
        assert share > 0.75, f'{name}: {share:.2f} of the dye is inside the silhouette'
        box, dyed = np.array(_bounding_box(specimen.mask)), np.array(_bounding_box(strong))
        # Trichomonas is painted out of focus; single rods and hairs stick out of some others.
        assert np.abs(box - dyed).max() <= 6


@pytest.mark.parametrize('name', CLASSES)
def test_every_class_can_be_drawn_in_a_field_of_its_own(name):
    smear = SyntheticSmear(128, 128, classes=[name], negative_fraction=0.0)
    for seed in range(4):
        _, boxes, labels = smear.draw(seed)
        assert len(boxes) >= 1 and (labels == 0).all()


def test_first_class_and_bags():
    smear = SyntheticSmear(96, 96)
    bags = []
    for index in range(66):
        labels = smear.draw(index, first_class=index % 11)[2]
        assert len(labels) == 0 or index % 11 in labels
        bags.append(np.isin(np.arange(11), labels))
    present = np.array(bags)
    assert present.sum(1).max() <= 3
    # Every class occurs, none in most images: image labels say something.
    assert (present.mean(0) > 0.05).all() and (present.mean(0) < 0.5).all()


def test_typical_box_sizes(smear):
    boxes = np.concatenate([smear.draw(seed)[1] for seed in range(16)])
    side = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    assert np.percentile(side, 5) > 14 and np.percentile(side, 95) < 110


@pytest.mark.parametrize('name', sorted(DISTRACTORS))
def test_distractors_carry_no_label(name):
    specimen = DISTRACTORS[name](_brush(0))
    assert specimen.label == -1
    assert specimen.amount.max() > 0.05


def test_a_negative_field_has_things_but_no_boxes():
    smear = SyntheticSmear(negative_fraction=1.0)
    image, boxes, labels = smear.draw(0)
    assert boxes.shape == (0, 4) and labels.shape == (0,)
    assert image.min() < 120  # nuclei are there


def _nucleus_area(name, seed):
    """Area of all nuclei in square micrometres, at 4 pixels per micrometre."""
    painter = PAINTERS.get(name) or DISTRACTORS[name]
    specimen = painter(_brush(seed, 4.0))
    return (specimen.amount[..., HEMATOXYLIN] > 0.35).sum() / 16, specimen.mask.sum() / 16


def test_nuclei_grow_from_normal_to_ascus_to_lsil():
    normal, ascus, lsil = (
        np.median([_nucleus_area(name, seed)[0] for seed in range(15)])
        for name in ('intermediate', 'ascus', 'lsil')
    )
    assert 25 < normal < 50
    assert 2.2 < ascus / normal < 4
    assert lsil > 1.2 * ascus


def test_nuclear_to_cytoplasmic_ratio_grows_from_lsil_to_hsil():
    ratio = {}
    for name in ('lsil', 'asch', 'hsil'):
        values = np.array([_nucleus_area(name, seed) for seed in range(15)])
        ratio[name] = np.median(values[:, 0] / values[:, 1])
    assert ratio['lsil'] < 0.2 < ratio['asch'] < 0.5 < ratio['hsil']


def test_light_passes_by_beer_lambert():
    """No dye: the lamp's colour. Twice the dye: the square of the transmission."""
    optics = Optics.sample(np.random.default_rng(0), 1.4, variation=0.0)
    optics.noise = optics.blur = 0.0
    amount = np.zeros((60, 90, 4), np.float32)
    amount[:, 30:60, LIGHT_GREEN] = 0.4
    amount[:, 60:, LIGHT_GREEN] = 0.8
    image = optics.photograph(amount, np.random.default_rng(0)).astype(float)
    clear, single, double = image[30, 15], image[30, 45], image[30, 75]
    np.testing.assert_allclose(clear, optics.light, atol=1)
    np.testing.assert_allclose(double / clear, (single / clear) ** 2, atol=0.01)


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(height=40), 'height.*at least 48.*40'),
        (dict(width=99.5), 'width.*99.5'),
        (dict(classes=['hsil', 'koilocyte']), 'classes.*koilocyte.*ascus'),
        (dict(classes=['hsil', 'hsil']), 'classes.*twice'),
        (dict(classes=[]), 'classes.*non-empty'),
        (dict(classes='hsil'), 'classes.*sequence'),
        (dict(magnification=400), 'magnification.*4 to 80.*400'),
        (dict(negative_fraction=1.5), 'negative_fraction.*0 to 1.*1.5'),
        (dict(min_visible=-0.1), 'min_visible'),
        (dict(crowding=float('nan')), 'crowding'),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ConfigError, match=words):
        SyntheticSmear(**arguments)


def test_unknown_specimen_is_named(smear):
    with pytest.raises(ConfigError, match='yeti.*actinomyces.*neutrophil'):
        smear.draw_specimen('yeti', 0)
