"""A distribution known by its draws alone, each with the log density that it is weighed by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pyro.distributions import constraints
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Tensor

from pyrovae.errors import explain

Drawing = Callable[[torch.Size], tuple[Tensor, Tensor]]
"""From the shape of a batch: draws ``shape + event_shape``, and the log density of each, ``shape``."""


class Augmented(TorchDistribution):
    r"""A posterior that is drawn by way of auxiliary variables, which no formula integrates out.

    A draw of :math:`a \sim q(a)` and :math:`z \sim q(z \mid a)` is weighed by

    .. math:: \log \tilde q(z, a) = \log q(a) + \log q(z \mid a) - \log r(a \mid z)

    with any density r that says, backwards, how a may have been. The marginal
    :math:`q(z) = \int q(z \mid a)\, q(a)\, da` has no closed form, so only the distribution's own last draw
    has a density here. That is all that a bound needs: for any r

    .. math::
        \mathbb E\Big[\frac{p(x, z)}{\tilde q(z, a)}\Big]
        = \int p(x, z) \int r(a \mid z)\, da\, dz = p(x),

    so :math:`\log p(x, z) - \log \tilde q(z, a)` is a valid log importance weight: the ELBO, the IWAE bound
    and estimates of the evidence stay what they are called. The ELBO lies below that of the marginal q by
    :math:`\mathbb E\, \mathrm{KL}(q(a \mid z) \,\|\, r(a \mid z))`. A deterministic step of :math:`(z, a)`,
    such as a leapfrog's, adds the logarithm of its Jacobian.

    Arguments:
        draw: from a shape, the draws ``shape + event_shape`` and the log density :math:`\log \tilde q` of
            each, of that ``shape``. It is called with ``sample_shape + batch_shape``, where the batch shape
            may have grown to the left by ``expand``: what depends on the datum broadcasts.
        batch_shape, event_shape: of the distribution.
        support: where the draws lie.

    Raises:
        ValueError: for a draw of other shapes.
        NotImplementedError: by ``log_prob`` for anything but the tensor that was drawn last.

    References:
        Agakov and Barber, 2004, An Auxiliary Variational Method, ICONIP.
        Salimans, Kingma and Welling, 2015, Markov Chain Monte Carlo and Variational Inference,
        https://arxiv.org/abs/1410.6460
        Ranganath, Tran and Blei, 2016, Hierarchical Variational Models, https://arxiv.org/abs/1511.02386

    Example:
        >>> import torch
        >>> from pyrovae.distributions import Augmented
        >>> def two_steps(shape):
        ...     a = torch.randn(*shape, 2)
        ...     z = a + torch.randn(*shape, 2)
        ...     log_q = -0.5 * (a.square() + (z - a).square()).sum(-1)
        ...     log_r = -(a - 0.5 * z).square().sum(-1)  # exact: q(a | z) = N(z / 2, 1 / 2)
        ...     return z, log_q - log_r
        >>> _ = torch.manual_seed(0)
        >>> q = Augmented(two_steps, torch.Size([5]), torch.Size([2]))
        >>> z = q.rsample()
        >>> torch.allclose(q.log_prob(z), -0.25 * z.square().sum(-1))  # that of N(0, 2), unnormalised
        True
    """

    arg_constraints = {}  # noqa: RUF012
    has_rsample = True

    def __init__(
        self,
        draw: Drawing,
        batch_shape: torch.Size,
        event_shape: torch.Size,
        *,
        support: Any = constraints.real_vector,
        validate_args: bool | None = None,
    ) -> None:
        if not callable(draw):
            raise TypeError(
                explain(
                    "Augmented, draw",
                    expected="a function from a shape to draws and their log densities",
                    got=repr(draw),
                    remedy="Return (z, log_density) of shapes shape + event_shape and shape.",
                )
            )
        self.draw, self._support = draw, support
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(torch.Size(batch_shape), torch.Size(event_shape), validate_args=validate_args)

    @constraints.dependent_property
    def support(self) -> Any:
        """Where the draws lie."""
        return self._support

    def expand(self, batch_shape: Any, _instance: Any = None) -> Augmented:
        new: Augmented = self._get_checked_instance(Augmented, _instance)  # type: ignore[no-untyped-call]
        new.draw, new._support, new._last = self.draw, self._support, None
        super(Augmented, new).__init__(torch.Size(batch_shape), self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws ``sample_shape + (..., *event)``, by a path; the density of the draw before is forgotten."""
        self._last = None
        shape = torch.Size(sample_shape) + self.batch_shape
        value, log_density = self.draw(shape)
        if (value.shape, log_density.shape) != (shape + self.event_shape, shape):
            raise ValueError(
                explain(
                    "Augmented, draw",
                    expected=f"draws of shape {tuple(shape + self.event_shape)} and log densities of "
                    f"shape {tuple(shape)}",
                    got=f"{tuple(value.shape)} and {tuple(log_density.shape)}",
                    remedy="Draw noise of the shape that is asked for, and sum densities over the event.",
                )
            )
        self._last = value, log_density
        return value

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008
        """Draws as :meth:`rsample` does, without gradients."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        r"""The log density :math:`\log \tilde q` of the last draw, nats, ``(...)``.

        Raises:
            NotImplementedError: for any other tensor, equal or not.
        """
        if self._last is None or value is not self._last[0]:
            raise NotImplementedError(
                explain(
                    "Augmented.log_prob",
                    expected="the very tensor that this distribution has drawn last",
                    got="another one" if self._last is not None else "a value, before any draw",
                    remedy="The marginal density has no closed form. Use estimators that score a draw as it "
                    "is: Pathwise().",
                )
            )
        if self._validate_args:
            self._validate_sample(value)
        return self._last[1]

    def __getstate__(self) -> dict[str, Any]:
        """For copies: all but the last draw, whose graph is not theirs."""
        return {**self.__dict__, "_last": None}

    def __repr__(self) -> str:
        return f"Augmented(batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)})"
