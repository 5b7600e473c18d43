"""Distributions side by side: one for each named group of columns of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions.constraints import Constraint

from pyrovae.errors import explain
from pyrovae.types import Distribution


class Columns(Constraint):
    """The support of a row of a table: that of each named group of its columns.

    Arguments:
        supports: for each group its constraint, of event dimension 1, and its width.
    """

    event_dim = 1

    def __init__(self, supports: Mapping[str, tuple[Constraint, int]]) -> None:
        self.supports = dict(supports)
        self.is_discrete = all(support.is_discrete for support, _ in self.supports.values())

    def parts(self, value: Tensor) -> Iterator[tuple[str, Constraint, Tensor]]:
        """Each group's name, its constraint, and its columns of a table ``(..., d)``."""
        start = 0
        for name, (support, width) in self.supports.items():
            yield name, support, value[..., start : start + width]
            start += width

    def check(self, value: Tensor) -> Tensor:
        """Whether all columns of each row are as they must be, ``(...)`` for ``(..., d)``."""
        return torch.stack([support.check(part) for _, support, part in self.parts(value)]).all(0)

    def __repr__(self) -> str:
        return f"columns ({', '.join(f'{name}: {support}' for name, (support, _) in self.supports.items())})"


class Mixed(TorchDistribution):
    r"""Groups of columns that are independent of each other, each of a distribution of its own.

    .. math::
        p(x) = \prod_g p_g(x_g), \qquad x = (x_1, x_2, \dots)

    Arguments:
        columns: for each group, by its name and from left to right, a distribution over vectors; batch
            shapes broadcast.

    Shapes: rows ``(..., d)`` with d the sum of the groups' widths. Draws are floats, also those of a group
        whose own draws are integers.

    Raises:
        ValueError: for no groups, for a distribution whose event is not a vector, and (with validation) for
            rows outside the support, by the name of the group.

    Example:
        >>> import torch, pyro.distributions as dist
        >>> from pyrovae.distributions import Mixed
        >>> height = dist.Normal(torch.zeros(5, 1), 1.0).to_event(1)
        >>> smokes = dist.Bernoulli(logits=torch.zeros(5, 1)).to_event(1)
        >>> p = Mixed({"height": height, "smokes": smokes})
        >>> p.batch_shape, p.event_shape
        (torch.Size([5]), torch.Size([2]))
        >>> p.log_prob(torch.tensor([0.3, 2.0]))
        Traceback (most recent call last):
            ...
        ValueError: Mixed, column 'smokes': expected values in Boolean(), got values from 2 to 2. ...
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, columns: Mapping[str, Distribution], *, validate_args: bool | None = None) -> None:
        if not columns or any(len(part.event_shape) != 1 for part in columns.values()):
            raise ValueError(
                explain(
                    "Mixed",
                    expected="one or more distributions over vectors",
                    got=", ".join(f"{n}: event {tuple(p.event_shape)}" for n, p in columns.items()) or "none",
                    remedy="Give single columns the event shape (1,): Normal(loc, scale).to_event(1).",
                )
            )
        batch_shape = torch.broadcast_shapes(*(part.batch_shape for part in columns.values()))
        self.columns = {name: part.expand(batch_shape) for name, part in columns.items()}
        self.widths = {name: part.event_shape[0] for name, part in columns.items()}
        super().__init__(batch_shape, torch.Size([sum(self.widths.values())]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Mixed:
        new: Mixed = self._get_checked_instance(Mixed, _instance)  # type: ignore[no-untyped-call]
        batch_shape = torch.Size(batch_shape)
        new.columns = {name: part.expand(batch_shape) for name, part in self.columns.items()}
        new.widths = self.widths
        super(Mixed, new).__init__(batch_shape, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(event_dim=1)
    def support(self) -> Columns:
        """The supports of all groups, by name."""
        return Columns({name: (part.support, self.widths[name]) for name, part in self.columns.items()})

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether draws of all groups have gradients."""
        return all(part.has_rsample for part in self.columns.values())

    @property
    def mean(self) -> Tensor:
        """The groups' means, ``(..., d)``; the mode of a group that has none (categories)."""
        return self._joined(_mean)

    @property
    def mode(self) -> Tensor:
        """The groups' modes, ``(..., d)``."""
        return self._joined(lambda part: part.mode)

    @property
    def variance(self) -> Tensor:
        """Of each column, ``(..., d)``."""
        return self._joined(lambda part: part.variance)

    def cut(self, x: Tensor) -> dict[str, Tensor]:
        """The columns of rows ``(..., d)`` by the names of their groups, ``(..., width)`` each."""
        return dict(zip(self.widths, x.split(list(self.widths.values()), -1), strict=True))

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)`` for rows ``(..., d)``."""
        if self._validate_args:
            self._validate_sample(value)
        parts = self.cut(value)
        return torch.stack(
            torch.broadcast_tensors(*(part.log_prob(parts[name]) for name, part in self.columns.items()))
        ).sum(0)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Rows, ``sample_shape + (..., d)``, where all groups have draws with gradients."""
        return self._joined(lambda part: part.rsample(sample_shape))

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Rows, ``sample_shape + (..., d)``."""
        with torch.no_grad():
            return self._joined(lambda part: part.sample(sample_shape))

    def _joined(self, of: Callable[[Any], Tensor]) -> Tensor:
        found = [of(part) for part in self.columns.values()]
        floating = [x.dtype for x in found if x.is_floating_point()] or [torch.get_default_dtype()]
        return torch.cat([x.to(floating[0]) for x in found], -1)

    def _validate_sample(self, value: Tensor) -> None:
        if value.shape[-1:] != self.event_shape:
            raise ValueError(
                explain(
                    "Mixed",
                    expected=f"rows of {self.event_shape[0]} columns",
                    got=f"shape {tuple(value.shape)}",
                    remedy=f"The groups and their widths are {self.widths}.",
                )
            )
        for name, support, part in self.support.parts(value):
            if not support.check(part).all():
                _refuse(name, support, part)


def _mean(part: Any) -> Tensor:
    """The mean of a group, or the mode where its values are names: a categorical's mean is NaN."""
    base = part
    while hasattr(base, "base_dist") or hasattr(base, "base"):
        base = base.base_dist if hasattr(base, "base_dist") else base.base
    mean: Tensor = part.mode if isinstance(base, torch.distributions.Categorical) else part.mean
    return mean


def _refuse(name: str, support: Any, part: Tensor) -> NoReturn:
    support = support.base_constraint if isinstance(support, constraints.independent) else support
    given = part[~part.isnan()]
    numbers = f"values from {given.min().item():g} to {given.max().item():g}" if len(given) else "only NaN"
    raise ValueError(
        explain(
            f"Mixed, column {name!r}",
            expected=f"values in {support}",
            got=numbers + (", and NaN" if 0 < len(given) < part.numel() else ""),
            remedy="Transform that column, or choose a likelihood with its support.",
        )
    )
