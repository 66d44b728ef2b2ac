"""torchvision's compiled operators, where they are there and work."""

from functools import cache
from typing import Any

import torch


@cache
def torchvision_kernels() -> Any | None:
    """Return ``torch.ops.torchvision`` if its operators run beside this torch, else ``None``.

    A torchvision that was made for another torch raises at import, or at the first call; both
    count as none.
    """
    try:
        import torchvision  # noqa: F401  # registers the operators

        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        torch.ops.torchvision.nms(boxes, boxes[:, 0], 0.5)
    except Exception:  # ImportError, OSError, RuntimeError, AttributeError: by version
        return None
    return torch.ops.torchvision
