"""Whether tensors are near what NumPy or SciPy has computed."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor


def close(ours: Tensor, theirs: Any, atol: float = 1e-5) -> bool:
    return bool(np.allclose(ours.detach().numpy(), theirs, atol=atol))
