import pytest
import torch

from ldwsccd_mmdet.errors import ConfigError
from ldwsccd_mmdet.models import FrozenTeacher
from ldwsccd_mmdet.models.detectors.feature_cache import FeatureCache
from tests.test_models.helpers import samples

LEVELS = (0, 2)


class Teacher:
    """Two levels of an image, and the number of images that were computed."""

    def __init__(self, scale=1.0):
        self.images = 0
        self.scale = scale

    def __call__(self, batch):
        self.images += len(batch)
        mean = batch.mean(1, keepdim=True) * self.scale
        return mean, mean[..., ::2] / 3, mean[..., ::4] / 7


def test_known_images_are_read(tmp_path):
    """In any batch and order, bit for bit as when they were computed."""
    x = torch.randn(3, 3, 8, 8)
    compute = Teacher()
    cache = FeatureCache(tmp_path, 'owner')
    first = cache.get(x, LEVELS, compute)
    assert (cache.hits, cache.misses, compute.images) == (0, 3, 3)
    expected = compute(x)
    for found, level in zip(first, LEVELS, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected[level], rtol=1e-3, atol=1e-4)

    other = FeatureCache(tmp_path, 'owner')  # another process, or a resumed run
    mixed = torch.stack([x[2], torch.zeros(3, 8, 8), x[0]])
    compute = Teacher()
    again = other.get(mixed, LEVELS, compute)
    assert (other.hits, other.misses, compute.images) == (2, 1, 1)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a[[2, 0]], b[[0, 2]])
        assert not b[1].any()


@pytest.mark.parametrize('change', ['image', 'levels', 'owner', 'autocast'])
def test_what_differs_is_not_mixed_up(tmp_path, change):
    x = torch.randn(1, 3, 8, 8)
    FeatureCache(tmp_path, 'owner').get(x, LEVELS, Teacher())
    cache = FeatureCache(tmp_path, 'other' if change == 'owner' else 'owner')
    with torch.autocast('cpu', torch.bfloat16, enabled=change == 'autocast'):
        cache.get(
            x.flip(3) if change == 'image' else x,
            (0, 1) if change == 'levels' else LEVELS,
            Teacher(),
        )
    assert cache.hits == 0


def test_values_beyond_float16(tmp_path):
    x = torch.randn(1, 3, 8, 8)
    compute = Teacher(scale=1e6)
    cache = FeatureCache(tmp_path, 'owner')
    for _ in range(2):
        found = cache.get(x, (0,), compute)[0]
        torch.testing.assert_close(found, compute(x)[0], rtol=1e-2, atol=1)


def test_upper_bound(tmp_path):
    """Nothing is written beyond it, what lies there counts, and all maps are still right."""
    compute = Teacher()
    cache = FeatureCache(tmp_path, 'owner', max_gb=1e-9)
    x = torch.randn(2, 3, 8, 8)
    cache.get(x, LEVELS, compute)
    assert len(list(tmp_path.rglob('*.pt'))) == 1
    full = FeatureCache(tmp_path, 'owner', max_gb=1e-9)
    maps = full.get(torch.randn(2, 3, 8, 8), LEVELS, compute)
    assert len(maps[0]) == 2
    assert len(list(tmp_path.rglob('*.pt'))) == 1
    with pytest.raises(ConfigError, match='model.teacher.cache.max_gb: expected > 0, found 0'):
        FeatureCache(tmp_path, 'owner', max_gb=0)


def test_a_file_is_read_as_weights_only(tmp_path):
    cache = FeatureCache(tmp_path, 'owner')
    x = torch.randn(1, 3, 8, 8)
    cache.get(x, LEVELS, Teacher())
    file = next(tmp_path.rglob('*.pt'))
    torch.save([Teacher()], file)
    with pytest.raises(Exception, match='weights_only'):
        cache.get(x, LEVELS, Teacher())


@pytest.mark.parametrize('left', [0, 1, 200, -20])
def test_a_file_that_is_cut_short_is_made_anew(tmp_path, left):
    cache, teacher = FeatureCache(tmp_path, 'owner'), Teacher()
    x = torch.randn(1, 3, 8, 8)
    maps = cache.get(x, LEVELS, teacher)
    file = next(tmp_path.rglob('*.pt'))
    whole = file.read_bytes()
    file.write_bytes(whole[:left])
    again = cache.get(x, LEVELS, teacher)
    assert teacher.images == 2 and all(torch.equal(a, b) for a, b in zip(maps, again, strict=True))
    cache.get(x, LEVELS, teacher)
    assert teacher.images == 2 and len(file.read_bytes()) == len(whole)


@pytest.mark.parametrize('error', [OSError(28, 'No space left on device'), RuntimeError('writer')])
def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch, error):
    def full(content, file):
        file.write_bytes(b'half')
        raise error

    monkeypatch.setattr('torch.save', full)
    cache, teacher = FeatureCache(tmp_path, 'owner'), Teacher()
    for _ in range(2):
        cache.get(torch.ones(2, 3, 8, 8), LEVELS, teacher)
    assert teacher.images == 4 and not [f for f in tmp_path.rglob('*') if f.is_file()]


def test_detector_with_cache(build, teacher, tmp_path, monkeypatch):
    """The second epoch runs no teacher, and gives the same loss."""
    folder = tmp_path / 'cache'
    model = build(mil=False, teacher=dict(teacher, cache=str(folder)))
    plain = build(mil=False)
    plain.load_state_dict(model.state_dict())
    x = torch.randn(3, 3, 64, 64) * 50
    first = model.loss(x, samples())
    monkeypatch.setattr(model.teacher.model, 'extract_feat', None)
    second = model.loss(x, samples())
    exact = plain.loss(x, samples())
    assert first == second
    for name, loss in exact.items():
        torch.testing.assert_close(first[name], loss, rtol=1e-3, atol=1e-4)
    assert (model.teacher.cache.hits, model.teacher.cache.misses) == (3, 3)


def test_owner_is_the_teacher_with_its_input(teacher, build, tmp_path):
    def folder(preprocessor, checkpoint=teacher['checkpoint']):
        frozen = FrozenTeacher(teacher['config'], checkpoint, preprocessor, cache=tmp_path / 'c')
        return frozen.cache.folder.name

    preprocessor = build(False, False).data_preprocessor
    same = folder(preprocessor)
    assert folder(preprocessor) == same
    state = torch.load(teacher['checkpoint'], weights_only=True)
    state['state_dict']['backbone.features.0.bias'] += 1
    torch.save(state, tmp_path / 'other.pth')
    assert folder(preprocessor, str(tmp_path / 'other.pth')) != same
    preprocessor.mean += 1
    assert folder(preprocessor) != same
