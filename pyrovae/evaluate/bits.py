"""Bits per dimension, the unit of tables of images."""

from __future__ import annotations

import math

from torch import Tensor

from pyrovae.errors import explain


def bits_per_dim(nats: Tensor | float, dims: int, *, offset: float = 0.0) -> Tensor | float:
    r"""A log evidence (or a bound on it) in bits per dimension: the fewer the better.

    .. math::
        b = - \frac{\log p(x)}{D \ln 2} + \mathrm{offset}

    For a likelihood of binary pixels this is all. For a density the unit of the pixels matters: images of 256
    levels to which uniform noise was added (dequantisation) and which were then divided by 256 have
    :math:`p(x / 256) = 256^D p(x)`, so their bits on the scale of the levels are those of the scaled data
    plus ``offset=math.log2(256)``, that is 8. Without dequantisation a density of discrete values can be made
    as large as one likes, and its bits mean nothing.

    Arguments:
        nats: log p(x) of each datum, ``(n,)``, or its mean. The sign is that of a log-probability.
        dims: D, the number of dimensions of a datum: 784 for 28 x 28 gray pixels.
        offset: the log2 of the factor by which each dimension was divided before the density saw it.

    Raises:
        ValueError: when ``dims`` is not positive.

    References:
        Theis, van den Oord and Bethge, 2016, A Note on the Evaluation of Generative Models, https://arxiv.org/abs/1511.01844

    Example:
        >>> from pyrovae import evaluate
        >>> round(evaluate.bits_per_dim(-88.0, 784), 4)
        0.1619
        >>> round(evaluate.bits_per_dim(2000.0, 784, offset=math.log2(256)), 4)
        4.3197
    """
    if not isinstance(dims, int) or dims < 1:
        raise ValueError(
            explain("dims", expected="a positive integer", got=repr(dims), remedy="Try x[0].numel().")
        )
    return -nats / (dims * math.log(2)) + offset
