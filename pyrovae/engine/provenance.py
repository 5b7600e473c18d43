"""Which random choices a tensor depends on, tracked while programs are traced.

``TraceGraph_ELBO`` asks for it. Pyro's own tracking wraps tensors in a class of its own, which the tracer's
tensors without values can't be wrapped in; here the tracer's tensors carry the names themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

_NAME = "_pyrovae_provenance"


def get_provenance(x: Tensor) -> frozenset[str]:
    """The names of the random choices that a tensor depends on."""
    return getattr(x, _NAME, frozenset())


def track_provenance(x: Tensor, names: frozenset[str]) -> Tensor:
    """Adds names to those that a tensor depends on."""
    setattr(x, _NAME, get_provenance(x) | names)
    return x


def detach_provenance(x: Any) -> Any:
    """The tensor, for those who look no further."""
    return x


class Provenance(TorchFunctionMode):
    """Hands the names on: what is computed from tensors depends on all that they depend on."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        names = frozenset[str]().union(*map(get_provenance, tensors))
        if names and func is not torch.Tensor.backward:
            for x in tree_leaves(result):
                if isinstance(x, Tensor):
                    track_provenance(x, names)
        return result
