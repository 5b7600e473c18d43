"""Neural spline flows: rational-quadratic splines, by couplings and autoregressive."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.flows._layers import Autoregressive, Couplings
from pyrovae.flows._maps import RationalQuadratic
from pyrovae.flows.base import Activation, Moved, check_size


class NeuralSpline(Couplings):
    r"""Spline couplings: one half of the entries tells each of the other the spline that it goes through.

    .. math::
        y_a = x_a, \qquad y_{b,i} = g\big(x_{b,i};\ \theta_i(x_a, c)\big)

    with g made of quotients of quadratics between knots in :math:`[-B, B]`, its slope continuous, and the
    identity outside. The halves change from layer to layer, so that two move every entry. Draws and densities
    both take one pass.

    Arguments:
        dim: the number of entries, d, from 2 on.
        context: the size of what each layer is told, 0 for nothing.
        layers: how many.
        bins: of each spline.
        bound: B; the base should lie inside, as all but a millionth of a standard normal's entries do in 5.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.

    Raises:
        ValueError: for sizes that are not positive, fewer than 2 or more than 500 bins, and for one entry.

    References:
        Durkan, Bekasov, Murray and Papamakarios, 2019, Neural Spline Flows, https://arxiv.org/abs/1906.04032

    Example:
        >>> from pyrovae import flows, priors
        >>> prior = priors.Flow(flows.NeuralSpline(8, bins=16))
        >>> prior().event_shape
        torch.Size([8])
    """

    def __init__(
        self,
        dim: int,
        *,
        context: int = 0,
        layers: int = 2,
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64,),
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__(dim, context=context, layers=layers, hidden=hidden, activation=activation)
        _check_spline(type(self).__name__, bins, bound)
        self.bins, self.bound = bins, bound
        self.map = RationalQuadratic(bins, bound, self.hidden[-1] if self.hidden else 1)
        self._make_layers()

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bins={self.bins}, bound={self.bound:g}"


class AutoregressiveSpline(Autoregressive):
    r"""Spline layers in which the value's entries before tell the monotone spline of each.

    .. math:: x_i = g\big(y_i;\ \theta_i(y_1, \dots, y_{i-1}, c)\big)

    with g as in :class:`NeuralSpline`. As with :class:`MAF` the density of a value takes one pass, a draw one
    for each entry; it serves a single entry too.

    Arguments:
        dim: the number of entries, d.
        context: the size of what each layer is told, 0 for nothing.
        layers: how many.
        bins: of each spline.
        bound: where the identity begins.
        hidden: the widths of each network's hidden layers.
        activation: what makes their activation.

    Raises:
        ValueError: for sizes that are not positive, and fewer than 2 or more than 500 bins.

    References:
        Durkan, Bekasov, Murray and Papamakarios, 2019, Neural Spline Flows, https://arxiv.org/abs/1906.04032

    Example:
        >>> from pyrovae import flows, priors
        >>> prior = priors.Flow(flows.AutoregressiveSpline(1))
        >>> prior().expand([5]).sample().shape
        torch.Size([5, 1])
    """

    def __init__(
        self,
        dim: int,
        *,
        context: int = 0,
        layers: int = 2,
        bins: int = 8,
        bound: float = 5.0,
        hidden: Sequence[int] = (64,),
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__(dim, context=context, layers=layers, hidden=hidden, activation=activation)
        _check_spline(type(self).__name__, bins, bound)
        self.bins, self.bound = bins, bound
        self.map = RationalQuadratic(bins, bound, self.hidden[-1] if self.hidden else 1)
        self._make_nets()

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        return self._one_by_one(x, context, self._onto_values)

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        return self._direct(y, context, self._onto_base)

    def _onto_values(self, x: Tensor, t: Tensor) -> Moved:
        y, log_slope = self.map.pull(x, t)
        return y, -log_slope

    def _onto_base(self, y: Tensor, t: Tensor) -> Moved:
        x, log_slope = self.map.push(y, t)
        return x, -log_slope

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bins={self.bins}, bound={self.bound:g}"


def _check_spline(where: str, bins: int, bound: float) -> None:
    check_size(f"{where}, bins", bins, 2)
    if bins * RationalQuadratic.least > 0.5:
        raise ValueError(
            explain(f"{where}, bins", expected="at most 500", got=repr(bins), remedy="8 to 32 are usual.")
        )
    if not (bound > 0 and math.isfinite(bound)):
        raise ValueError(
            explain(f"{where}, bound", expected="a positive number", got=repr(bound), remedy="Try 5.0.")
        )
