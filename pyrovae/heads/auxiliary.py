"""A head that draws by way of auxiliary variables: a posterior with a posterior inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.arguments import require_part
from pyrovae.distributions import Augmented
from pyrovae.errors import explain
from pyrovae.heads._sizes import positive
from pyrovae.heads._vectors import last, misfit
from pyrovae.heads.normal import Normal
from pyrovae.types import Distribution, Head


class Auxiliary(nn.Module):
    r"""A hierarchical variational model: an infinite mixture of what a head can do.

    .. math::
        q(z \mid x) = \int q(a \mid x)\, q(z \mid a, x)\, da, \qquad
        \log \tilde q = \log q(a \mid x) + \log q(z \mid a, x) - \log r(a \mid z, x)

    with a normal :math:`q(a \mid x)`, and the reverse model r by a network of its own. Any r gives a bound;
    the nearer it is to :math:`q(a \mid z, x)`, the tighter. The marginal q has no closed form, so a draw is
    scored as it is (:class:`pyrovae.distributions.Augmented`): train with pathwise gradients, and estimate
    the evidence as ever. The features are split into those of :math:`q(a \mid x)` and, the last ones, a
    context c that stands for x in the two networks.

    Arguments:
        dim: d, the size of z.
        auxiliary: k, the size of a.
        net: from (a, c), ``(..., k + context)``, to the features of ``head``.
        reverse: from (z, c), ``(..., d + context)``, to the features of ``reverse_head``.
        context: the size of c; 0 leaves all that is known of x to a.
        head, reverse_head: of z and of a given z; by default :class:`Normal`. Both have pathwise draws.

    Shapes: features ``(..., 2 k + context)`` become an event ``(d,)``.

    Raises:
        TypeError: for networks or heads that can't be called.
        ValueError: for features of another size, or networks that don't fit.

    References:
        Agakov and Barber, 2004, An Auxiliary Variational Method, ICONIP.
        Ranganath, Tran and Blei, 2016, Hierarchical Variational Models, https://arxiv.org/abs/1511.02386
        Maaløe, Sønderby, Sønderby and Winther, 2016, Auxiliary Deep Generative Models,
        https://arxiv.org/abs/1602.05473

    Example:
        >>> import torch
        >>> from pyrovae import heads, nets
        >>> _ = torch.manual_seed(0)
        >>> head = heads.Auxiliary(2, 3, nets.MLP(3 + 4, 16, 4), nets.MLP(2 + 4, 16, 6), context=4)
        >>> head.features(2)
        10
        >>> q = head(torch.zeros(5, 10))
        >>> z = q.rsample()
        >>> z.shape, q.log_prob(z).shape
        (torch.Size([5, 2]), torch.Size([5]))
    """

    event_dim = 1

    def __init__(
        self,
        dim: int,
        auxiliary: int,
        net: nn.Module,
        reverse: nn.Module,
        *,
        context: int = 0,
        head: Head | None = None,
        reverse_head: Head | None = None,
    ) -> None:
        super().__init__()
        positive("Auxiliary", dim=dim, auxiliary=auxiliary)
        if context != 0:
            positive("Auxiliary", context=context)
        for role, part in (("net", net), ("reverse", reverse)):
            require_part(f"heads.Auxiliary, {role}", part, "a network", f"{role}=nets.MLP(...), say")
        for role, made in (("head", head), ("reverse_head", reverse_head)):
            if made is not None:
                require_part(f"heads.Auxiliary, {role}", made, "a head", f"{role}=heads.Normal()")
        self.dim, self.auxiliary, self.context = dim, auxiliary, context
        self.net, self.reverse = net, reverse
        self.head = Normal() if head is None else head
        self.reverse_head = Normal() if reverse_head is None else reverse_head

    def features(self, d: int) -> int:
        """How many network outputs make an event of d entries, d being ``dim``."""
        if d != self.dim:
            raise ValueError(
                explain(
                    "heads.Auxiliary.features",
                    expected=f"events of {self.dim} entries, for which it was built",
                    got=repr(d),
                    remedy="Build it for the latent's size.",
                )
            )
        return 2 * self.auxiliary + self.context

    def forward(self, t: Tensor) -> Distribution:
        if last(t) != self.features(self.dim):
            raise misfit(
                "heads.Auxiliary",
                t,
                f"{self.features(self.dim)} (locs and log variances of {self.auxiliary} auxiliaries, and "
                f"{self.context} of context)",
                "Give the network features(dim) outputs.",
            )
        first, context = t.split([2 * self.auxiliary, self.context], -1)
        q_a = Normal()(first)

        def draw(shape: torch.Size) -> tuple[Tensor, Tensor]:
            given = context.expand(*shape, self.context)
            outer = q_a.expand(shape)
            a = outer.rsample()
            inner = self._made("head", self.head, self.net, a, given, self.dim)
            z = inner.rsample()
            back = self._made("reverse_head", self.reverse_head, self.reverse, z, given, self.auxiliary)
            return z, outer.log_prob(a) + inner.log_prob(z) - back.log_prob(a)

        return Augmented(draw, t.shape[:-1], torch.Size((self.dim,)))

    def _made(
        self,
        role: str,
        head: Head,
        net: Callable[[Tensor], Tensor],
        given: Tensor,
        context: Tensor,
        size: int,
    ) -> Any:
        made = head(net(torch.cat((given, context), -1)))
        if tuple(made.event_shape) != (size,):
            raise ValueError(
                explain(
                    f"heads.Auxiliary, {role}",
                    expected=f"events of shape ({size},)",
                    got=str(tuple(made.event_shape)),
                    remedy=f"Let its network have {role}.features({size}) outputs.",
                )
            )
        return made
