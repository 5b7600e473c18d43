"""The masked autoencoder as a density: the entries of a vector in order, each given those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pyrovae.distributions.autoregressive import Autoregressive, Pick
from pyrovae.heads._emission import drawing, each, elements, precise
from pyrovae.heads._masked_steps import MaskedSteps, plan
from pyrovae.heads._sizes import check_context, check_features, positive, require_entrywise
from pyrovae.heads.bernoulli import Bernoulli
from pyrovae.nets.masked import MaskedMLP
from pyrovae.types import Distribution, Head


class MADE(nn.Module):
    r"""Vectors whose entries depend on those before them, as well as on the latent, by one masked network.

    .. math::
        \mathrm{head}(t) = \prod_{i=1}^{d} \mathrm{emission}\big(x_i \mid f_i(x_{<i}, t) + V_i t\big)

    Without the network f it is the decoder of a plain VAE.

    The network sees values between bounds scaled to [-1, 1] (categories too, by their number), counts and
    other values from a bound on by :math:`\log(1 + x)`, others as they are.

    Sampling computes each hidden unit once, as soon as the entries that it sees are drawn: d small steps, no
    more arithmetic than one pass.

    Arguments:
        dim: the number of entries of a vector, d.
        context: the number of features, k.
        emission: what makes an entry's distribution, a head with ``event_dim=1``.
        hidden: the widths of the hidden layers.
        activation: what makes the activation, one that works unit by unit.

    Shapes: features ``(..., k)`` make an event ``(d,)``.

    Raises:
        ValueError: for another number of features, sizes that are not positive, an emission whose entries
            are no single numbers.
        TypeError: for an emission that is no head.

    References:
        Germain, Gregor, Murray and Larochelle, 2015, MADE: Masked Autoencoder for Distribution Estimation,
        https://arxiv.org/abs/1502.03509

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> p = heads.MADE(64, context=16, hidden=(32,))(torch.zeros(5, 16))
        >>> p.log_prob(p.sample()).shape
        torch.Size([5])
    """

    event_dim = 1

    def __init__(
        self,
        dim: int,
        context: int,
        *,
        emission: Head = Bernoulli(),  # noqa: B008 (it has no state)
        hidden: Sequence[int] = (128,),
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        positive("MADE", dim=dim, context=context)
        self.dim, self.context, self.emission = dim, context, emission
        self.hidden, self.activation = tuple(hidden), activation
        self._elements = elements("MADE", emission, 1, event_dim=1)
        require_entrywise("MADE", self._elements.entrywise, emission)
        self.net = MaskedMLP(
            dim, self._elements.outputs, context=context, hidden=self.hidden, activation=activation
        )
        self._plan = plan(self.net)
        # The first entries see few hidden units, so few that the latent would come through a needle's eye.
        self.given = nn.Linear(context, dim * self._elements.outputs, bias=False)

    def features(self, d: int) -> int:
        """The number of features for vectors of d entries."""
        return check_features("MADE", d, self.dim, self.context)

    def forward(self, t: Tensor) -> Distribution:
        check_context("MADE", t, self.context)
        return Autoregressive(self, t, (self.dim,))

    @property
    def support(self) -> Any:
        """The emission's, of each entry."""
        bias = self.net.first.bias
        return constraints.independent(each(self.emission(bias.new_zeros(self._elements.outputs)).support), 1)

    def log_conditionals(self, x: Tensor, features: Tensor) -> Tensor:
        """The log probability of each entry of ``(m, d)``, ``(m, d)``, in one pass."""
        outputs = self.net(self._elements.scaled(x), features) + self._given(features)
        return self.emission(precise(outputs)).log_prob(x.unsqueeze(-1))

    def draw(self, features: Tensor, pick: Pick | None) -> Tensor:
        """Vectors ``(m, d)``, entry by entry."""
        steps, draw = MaskedSteps(self.net, self._plan, features), drawing(self.emission, pick)
        drawn: list[Tensor] = []
        for given in self._given(features).unbind(1):
            drawn.append(draw(steps.outputs() + given))
            steps.enter(self._elements.scaled(drawn[-1].to(features.dtype)))
        return torch.cat(drawn, -1)

    def _given(self, features: Tensor) -> Tensor:
        """What the features add to the outputs, ``(m, d, outputs)``."""
        added: Tensor = self.given(features).unflatten(-1, (self.dim, -1))
        return added

    def extra_repr(self) -> str:
        return f"dim={self.dim}, context={self.context}, emission={self.emission!r}, hidden={self.hidden}"
