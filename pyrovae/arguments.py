"""What constructors are given, checked: positive numbers, and parts that are made already."""

from __future__ import annotations

import inspect
import math
from numbers import Real
from typing import Any

import torch
from torch import nn
from torch.distributions import Distribution

from pyrovae.errors import explain


def is_positive(value: Any) -> bool:
    """Whether it is a positive and finite number; booleans, strings and tensors are none.

    Example:
        >>> is_positive(0.5), is_positive(True), is_positive("0.5"), is_positive(float("inf"))
        (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return 0 < float(value) < math.inf


def is_part(value: Any) -> bool:
    """Whether it can be called as a part is: not a class that was never made an object of.

    A class of distributions counts, for ``dist.Dirichlet`` makes a distribution of a network's output.

    Example:
        >>> from pyrovae import heads
        >>> is_part(heads.Normal()), is_part(heads.Normal), is_part("normal")
        (True, False, False)
    """
    if inspect.isclass(value):
        return issubclass(value, Distribution)
    return callable(value)


def require_part(where: str, value: object, kind: str, example: str) -> None:
    """Refuses what is no part.

    Arguments:
        kind: what it should be, as "a head".
        example: how to write one.

    Raises:
        TypeError: for it.

    Example:
        >>> from pyrovae import heads
        >>> require_part("VAE, likelihood", heads.Bernoulli, "a head", "heads.Bernoulli()")
        Traceback (most recent call last):
            ...
        TypeError: VAE, likelihood: expected a head, got the class Bernoulli. Write heads.Bernoulli().
    """
    if is_part(value):
        return
    raise TypeError(explain(where, expected=kind, got=shown(value), remedy=f"Write {example}."))


def new_activation(where: str, activation: Any) -> nn.Module:
    """A new activation, of the class or the function that makes one.

    Raises:
        TypeError: for what makes none, such as an activation that is made already.

    Example:
        >>> from torch import nn
        >>> new_activation("MLP", nn.ReLU)
        ReLU()
        >>> new_activation("MLP", nn.ReLU())
        Traceback (most recent call last):
            ...
        TypeError: MLP, activation: expected a class of activations, got ReLU(). Write activation=nn.ReLU.
    """
    try:
        made = None if isinstance(activation, nn.Module) else activation()
    except TypeError:  # no callable, or a function that is an activation
        made = None
    if isinstance(made, nn.Module):
        return made
    raise TypeError(
        explain(
            f"{where}, activation",
            expected="a class of activations",
            got=shown(activation),
            remedy="Write activation=nn.ReLU.",
        )
    )


def shown(value: Any, most: int = 80) -> str:
    """A ``repr`` of one short line: of a network or a tensor its kind says enough.

    Example:
        >>> import torch
        >>> from pyrovae import heads, nets
        >>> shown("abc"), shown(torch.zeros(2, 2)), shown((nets.MLP(2, 4), heads.Normal))
        ("'abc'", 'Tensor', '(MLP, the class Normal)')
    """
    if inspect.isclass(value):
        return f"the class {value.__name__}"
    if isinstance(value, tuple) and value:
        return f"({', '.join(map(shown, value))})"
    text = repr(value)
    is_short = len(text) <= most and "\n" not in text
    return text if is_short and not isinstance(value, torch.Tensor) else type(value).__name__
