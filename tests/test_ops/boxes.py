"""Boxes for the tests of operators."""

import torch
from torch import Tensor


def clustered_boxes(num_boxes: int, num_objects: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Boxes as an RPN makes them: around objects of 20 to 200 px in a field of 800 px."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(num_objects, 2, generator=generator) * 800
    sizes = torch.rand(num_objects, 2, generator=generator) * 180 + 20
    chosen = torch.randint(num_objects, (num_boxes,), generator=generator)
    jitter = torch.randn(num_boxes, 4, generator=generator) * 0.15
    centre = centres[chosen] + jitter[:, :2] * sizes[chosen]
    size = sizes[chosen] * jitter[:, 2:].exp()
    scores = torch.rand(num_boxes, generator=generator)
    return torch.cat([centre - size / 2, centre + size / 2], dim=1), scores
