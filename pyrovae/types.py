"""The few shapes of things that every layer speaks of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

Distribution: TypeAlias = TorchDistributionMixin
"""A Pyro distribution."""

Program: TypeAlias = Callable[..., Any]
"""A Pyro program: a model ``model(x=None, ..., size=None)`` or a guide of the same arguments."""

Head: TypeAlias = Callable[[Tensor], Distribution]
"""A network's output ``(..., k)`` turned into a distribution: a likelihood, or a posterior."""

Prior: TypeAlias = Callable[..., Distribution]
"""A maker of the distribution of one latent, with an empty batch shape; or, given covariates, with theirs."""

Batch: TypeAlias = tuple[Tensor, ...]
"""What one step sees: the tensors that are passed to model and guide, batch leftmost."""
