"""A distribution of single entries some of which may be missing: NaN is marginalised out."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor
from torch.distributions import transform_to
from torch.distributions.constraints import Constraint

from pyrovae.distributions.mixed import Mixed
from pyrovae.errors import explain
from pyrovae.types import Distribution


class OrMissing(Constraint):
    """What satisfies a constraint of single entries, and NaN.

    Arguments:
        base: the constraint of what is not missing.
    """

    event_dim = 0

    def __init__(self, base: Constraint) -> None:
        self.base = base
        self.is_discrete = base.is_discrete

    def check(self, value: Tensor) -> Tensor:
        """Whether each entry is NaN or as it must be, ``(...)``."""
        return value.isnan() | self.base.check(value)

    def __repr__(self) -> str:
        return f"{self.base} or missing (NaN)"


class WithMissing(TorchDistribution):
    r"""A distribution of single entries for which NaN says that an entry was not seen.

    .. math::
        \log p(x) = \begin{cases} \log p_{\mathrm{base}}(x) & x \text{ seen} \\
        \log \int p_{\mathrm{base}}(x')\, dx' = 0 & x \text{ missing} \end{cases}

    The base never meets NaN: it is put at some value of its support first, and its result is passed over.
    So the gradient is finite and, at missing entries, exactly zero. Draws are complete.

    Arguments:
        base: the distribution of an entry, with an empty event shape; :math:`\to` ``.to_event`` afterwards.

    Raises:
        ValueError: for a base of vectors.

    Example:
        >>> import torch, pyro.distributions as dist
        >>> from pyrovae.distributions import WithMissing
        >>> p = WithMissing(dist.Poisson(torch.tensor([1.0, 2.0])))
        >>> p.log_prob(torch.tensor([0.0, float("nan")]))
        tensor([-1.,  0.])
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, base: Any, *, validate_args: bool | None = None) -> None:
        if base.event_shape:
            raise ValueError(_refusal(base))
        self.base = base
        super().__init__(base.batch_shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> WithMissing:
        new: WithMissing = self._get_checked_instance(  # type: ignore[no-untyped-call]
            WithMissing, _instance
        )
        new.base = self.base.expand(batch_shape)
        super(WithMissing, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @constraints.dependent_property(event_dim=0)
    def support(self) -> OrMissing:
        """The base's support, and NaN."""
        return OrMissing(self.base.support)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """As the base."""
        return bool(self.base.has_rsample)

    @property
    def mean(self) -> Tensor:
        """Of an entry, seen or not, ``(...)``."""
        mean: Tensor = self.base.mean
        return mean

    @property
    def mode(self) -> Tensor:
        """Of an entry, seen or not, ``(...)``."""
        mode: Tensor = self.base.mode
        return mode

    @property
    def variance(self) -> Tensor:
        """Of an entry, seen or not, ``(...)``."""
        variance: Tensor = self.base.variance
        return variance

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats, ``(...)``; 0 for NaN."""
        if self._validate_args:
            self._validate_sample(value)
        missing = value.isnan()
        log_prob: Tensor = self.base.log_prob(torch.where(missing, _feasible(self.base), value))
        return torch.where(missing, 0.0, log_prob)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Complete entries, ``sample_shape + (...)``, with gradients where the base's have them."""
        draw: Tensor = self.base.rsample(sample_shape)
        return draw

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Complete entries, ``sample_shape + (...)``."""
        draw: Tensor = self.base.sample(sample_shape)
        return draw


def with_missing(fn: Any) -> Distribution:
    """The distribution with :class:`WithMissing` for each of its entries, which must be independent.

    Raises:
        ValueError: for one whose entries are not, or not visibly.
    """
    if isinstance(fn, Mixed):
        columns = {}
        for name, part in fn.columns.items():
            try:
                columns[name] = with_missing(part)
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from None
        return Mixed(columns)
    if not isinstance(fn, torch.distributions.Independent):
        raise ValueError(_refusal(fn))
    base: Any = with_missing(fn.base_dist) if fn.base_dist.event_shape else WithMissing(fn.base_dist)
    joint: Distribution = base.to_event(fn.reinterpreted_batch_ndims)
    return joint


def _feasible(base: Any) -> Tensor:
    """Some value inside the support, where the density is unlikely to overflow: it must not be NaN or inf,
    whose gradient no choice of the other branch undoes."""
    support: Any = base.support
    support = getattr(support, "base_constraint", support)  # a mixture's is its components'
    zero = torch.zeros(())
    if support is constraints.real:
        try:
            return torch.nan_to_num(base.mean.detach(), 0.0, 0.0, 0.0)
        except (NotImplementedError, AttributeError):
            return zero
    if support is constraints.boolean:
        return zero
    lower, upper = (getattr(support, name, None) for name in ("lower_bound", "upper_bound"))
    if support.is_discrete and lower is not None:
        return torch.as_tensor(lower)
    if lower is not None and upper is not None:
        return torch.as_tensor((lower + upper) / 2)
    try:
        value: Tensor = transform_to(support)(zero)
    except NotImplementedError:
        raise ValueError(
            explain(
                "WithMissing",
                expected="a support of which a value is known",
                got=f"{support} of {type(base).__name__}",
                remedy="Give the constraint attributes is_discrete, lower_bound and upper_bound.",
            )
        ) from None
    return value.detach()


def _refusal(fn: Any) -> str:
    return explain(
        "Masked",
        expected="a likelihood whose entries are independent given z, as Normal(...).to_event(1)",
        got=f"{type(fn).__name__} of events {tuple(fn.event_shape)}, which do not fall apart",
        remedy="Take an elementwise head or heads.Mixed of such, or impute the missing entries.",
    )
