"""A head for data with gaps: entries that are missing are marginalised out."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from pyrovae.arguments import is_part, shown
from pyrovae.distributions import FittedNormal
from pyrovae.distributions.missing import with_missing
from pyrovae.distributions.unwrapping import unwrapped
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class Masked(nn.Module):
    r"""A likelihood of data in which NaN marks an entry that was not seen.

    .. math::
        p(x_{\mathrm{seen}} \mid z) = \int p(x \mid z)\, dx_{\mathrm{missing}}
        = \prod_{i\ \mathrm{seen}} p_i(x_i \mid z)

    exact, because the entries of the likelihood are independent given z; where they aren't it refuses.
    Nothing is imputed: a missing entry adds 0 to the log-probability and to every gradient, exactly. The ELBO
    is then a bound of the evidence of what was seen, right for entries that are missing at random.

    Data with NaN go as they are to :func:`pyrovae.fit`, ``evaluate``, ``predict`` and ``export``; a guide
    whose networks read them takes :class:`pyrovae.nets.Filled`. Draws are complete, so
    :func:`pyrovae.predict.posterior_predictive` imputes.

    Arguments:
        head: of the complete data: elementwise, as Normal or Poisson, or :class:`Mixed` of such.

    Shapes: features and events are those of ``head``.

    Raises:
        TypeError: for something that is not a head.
        ValueError: when called, where the entries of the likelihood are not independent given z (a full
            covariance, a mixture, an autoregressive or multinomial likelihood).

    References:
        Nazabal, Olmos, Ghahramani and Valera, 2018, Handling Incomplete Heterogeneous Data using VAEs,
        https://arxiv.org/abs/1807.03653
        Mattei and Frellsen, 2019, MIWAE, https://arxiv.org/abs/1812.02633

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> p = heads.Masked(heads.Bernoulli())(torch.zeros(1, 3))
        >>> print(p.log_prob(torch.tensor([1.0, float("nan"), 0.0])))  # 2 ln(1/2)
        tensor([-1.3863])
        >>> p.sample().isnan().any()
        tensor(False)
    """

    takes_missing = True
    """Read by whatever checks data: with such a head they may hold NaN."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        if not is_part(head):
            raise TypeError(
                explain(
                    "heads.Masked",
                    expected="a head",
                    got=shown(head),
                    remedy="Write heads.Masked(heads.Normal()), say.",
                )
            )
        self.head = head
        self.event_dim: int = getattr(head, "event_dim", 1)

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: those of the head inside."""
        head: Any = self.head
        return int(head.features(d))

    def forward(self, t: Tensor) -> Distribution:
        made = self.head(t)
        if isinstance(unwrapped(made), FittedNormal):
            raise ValueError(
                explain(
                    "heads.Masked",
                    expected="a likelihood that scores each entry by itself",
                    got="heads.OptimalNormal in training, whose variance is that of the whole batch",
                    remedy="Take heads.IsotropicNormal(), whose scale is learned.",
                )
            )
        return with_missing(made)

    def extra_repr(self) -> str:
        return "" if isinstance(self.head, nn.Module) else f"head={self.head!r}"
