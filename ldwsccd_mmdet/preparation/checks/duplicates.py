"""Images that are there twice: the same bytes, or the same picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .finding import Finding
from .images import ImageScan

__all__ = ['check_duplicates', 'near_duplicate_pairs']

_LOW = 8  # frequencies along each axis that the perceptual hash looks at
_HASH_DISTANCE = 12  # of 63 bits; two different pictures differ in 31 +- 4
_CONTRAST = 2.0  # grey levels; below, a picture is blank and resembles all others
_BLOCK = 1024


def near_duplicate_pairs(thumbnails: np.ndarray, min_correlation: float = 0.97) -> np.ndarray:
    """Find pictures that are alike up to scale, compression, brightness, turns and mirroring.

    First by a perceptual hash: the signs of the 8 x 8 lowest DCT coefficients without the mean, 63
    bits. Mirroring flips signs, a quarter turn also transposes, so that all eight positions of a
    picture come from one DCT. Pairs whose hashes differ in at most 12 bits are then compared pixel
    by pixel. Shifted or partly overlapping fields are not found.

    Args:
        thumbnails: Grey, shape ``(n, s, s)``.
        min_correlation: Least correlation of the pixels of two thumbnails.

    Returns:
        Pairs of indices i < j, shape ``(m, 2)``, sorted.
    """
    pixels = np.asarray(thumbnails, np.float32)
    pixels = pixels - pixels.mean((1, 2), keepdims=True)
    norms = np.sqrt((pixels**2).sum((1, 2)))
    keep = np.flatnonzero(norms > _CONTRAST * pixels.shape[-1])
    if keep.size < 2:
        return np.zeros((0, 2), int)
    pixels = pixels[keep] / norms[keep, None, None]
    waves = np.sign(dctn(pixels, axes=(1, 2), norm='ortho')[:, :_LOW, :_LOW]).astype(np.float32)
    waves[:, 0, 0] = 0
    sign = (1 - 2 * (np.arange(_LOW) % 2)).astype(np.float32)
    hashes = waves.reshape(len(waves), -1)
    pairs = []
    for turn in range(8):
        transposed, up, left = turn & 4, turn & 2, turn & 1
        other = waves.transpose(0, 2, 1) if transposed else waves
        other = other * (sign[:, None] if up else 1) * (sign[None] if left else 1)
        view = pixels.transpose(0, 2, 1) if transposed else pixels
        view = view[:, ::-1] if up else view
        view = view[:, :, ::-1] if left else view
        other = other.reshape(hashes.shape)
        for start in range(0, len(hashes), _BLOCK):
            # only pairs i < j
            alike_bits = hashes[start : start + _BLOCK] @ other[start:].T
            i, j = np.nonzero(alike_bits >= _LOW**2 - 1 - 2 * _HASH_DISTANCE)
            i, j = i + start, j + start
            i, j = i[i < j], j[i < j]
            for part in range(0, len(i), 1 << 16):
                a, b = i[part : part + (1 << 16)], j[part : part + (1 << 16)]
                alike = (pixels[a] * view[b]).sum((1, 2)) >= min_correlation
                pairs.append(np.column_stack([a, b])[alike])
    found = np.unique(np.concatenate([np.zeros((0, 2), int), *pairs]), axis=0)
    return keep[found]


def _groups(pairs: np.ndarray, count: int) -> list[list[int]]:
    """Join pairs to groups of indices."""
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (count, count))
    _, label = connected_components(graph, directed=False)
    members = defaultdict(list)
    for index in np.unique(pairs).tolist():
        members[label[index]].append(index)
    return list(members.values())


def check_duplicates(
    files: Sequence[str], scans: Sequence[ImageScan], splits: Sequence[str]
) -> list[Finding]:
    """Check for images that are there twice, within a split and across splits.

    Args:
        files: File name of each image.
        scans: What was seen of each.
        splits: Which split each belongs to.

    Returns:
        Findings whose items list a group's ``images``, each as ``split: file``.
    """
    by_digest: dict[bytes, list[int]] = defaultdict(list)
    for index, scan in enumerate(scans):
        if scan.digest is not None:
            by_digest[scan.digest].append(index)
    exact = [group for group in by_digest.values() if len(group) > 1]
    seen = {i: scan.thumbnail for i, scan in enumerate(scans) if scan.thumbnail is not None}
    near: list[list[int]] = []
    if len(seen) > 1:
        pairs = near_duplicate_pairs(np.stack(list(seen.values())))
        pairs = np.asarray(list(seen))[pairs]
        digests = [scan.digest for scan in scans]
        pairs = np.array([p for p in pairs.tolist() if digests[p[0]] != digests[p[1]]], int)
        near = _groups(pairs.reshape(-1, 2), len(scans)) if len(pairs) else []
    findings = []
    for kind, groups in (('exact', exact), ('near', near)):
        across = [g for g in groups if len({splits[i] for i in g}) > 1]
        within = [g for g in groups if len({splits[i] for i in g}) == 1]
        for where, part, level in (
            ('across', across, 'error' if kind == 'exact' else 'warning'),
            ('within', within, 'warning'),
        ):
            if not part:
                continue
            what = 'the same file' if kind == 'exact' else 'nearly the same picture'
            findings.append(
                Finding(
                    f'duplicate-{kind}-{where}',
                    level,
                    f'{len(part)} groups of images, {sum(map(len, part))} in all, are {what} '
                    + ('in different splits' if where == 'across' else 'within a split'),
                    'keep each group in one split: scores on images seen in training mean nothing'
                    if where == 'across'
                    else 'keep one of each group',
                    [_group_item(group, files, splits) for group in part],
                )
            )
    return findings


def _group_item(group: list[int], files: Sequence[str], splits: Sequence[str]) -> dict[str, Any]:
    return {'images': [f'{splits[index]}: {files[index]}' for index in group]}
