"""Gray values as zeros and ones: a fresh draw at every use, or a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pyrovae.data.transforms.base import Transform
from pyrovae.data.transforms.ranges import require_floating, require_unit_interval


@dataclass(frozen=True)
class Binarize(Transform):
    r"""Dynamic binarisation: :math:`b_i \sim \mathrm{Bernoulli}(x_i)`, drawn anew at every use.

    Gray values in [0, 1] are read as probabilities. The draw is made on the batch's own device by torch's
    global generator of that device, so whoever seeds torch seeds it and whoever restores that generator's
    state repeats it.

    Raises:
        TypeError: the data are not floating.
        ValueError: (by ``check``, not at every use) values outside [0, 1].

    References:
        Salakhutdinov and Murray, 2008, On the Quantitative Analysis of Deep Belief Networks, ICML.
        Burda, Grosse and Salakhutdinov, 2016, Importance Weighted Autoencoders,
        https://arxiv.org/abs/1509.00519

    Example:
        >>> _ = torch.manual_seed(0)
        >>> Binarize()(torch.tensor([[0.0, 0.5, 0.5, 0.5, 1.0]]))
        tensor([[0., 0., 1., 1., 1.]])
    """

    def __call__(self, x: Tensor) -> Tensor:
        require_floating("Binarize", x)
        # The law of torch.bernoulli(x), in a third of its time on a CPU.
        return torch.rand_like(x).lt_(x)

    def check(self, x: Tensor) -> None:
        require_unit_interval("Binarize", x)


@dataclass(frozen=True)
class Threshold(Transform):
    """Static binarisation: 1 where ``x >= at``, else 0, in the dtype of ``x``.

    Raises:
        TypeError: the data are not floating.

    Example:
        >>> Threshold()(torch.tensor([[0.2, 0.5, 0.9]]))
        tensor([[0., 1., 1.]])
    """

    at: float = 0.5

    def __call__(self, x: Tensor) -> Tensor:
        require_floating("Threshold", x)
        return (x >= self.at).to(x.dtype)

    def check(self, x: Tensor) -> None:
        require_floating("Threshold", x)
