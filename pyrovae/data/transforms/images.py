"""Images as they are kept, bytes of shape (n, C, H, W), as numbers and as vectors."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from pyrovae.data.transforms.base import Transform
from pyrovae.errors import explain


@dataclass(frozen=True)
class Pixels(Transform):
    r"""Bytes to the unit interval, :math:`x / 255`, in torch's default dtype.

    Raises:
        TypeError: when the data are not ``uint8``.

    Example:
        >>> Pixels()(torch.tensor([[0, 51, 255]], dtype=torch.uint8))
        tensor([[0.0000, 0.2000, 1.0000]])
    """

    def __call__(self, x: Tensor) -> Tensor:
        self.check(x)
        return x.to(torch.get_default_dtype()).div_(255)

    def check(self, x: Tensor) -> None:
        if x.dtype != torch.uint8:
            raise TypeError(
                explain(
                    "Pixels",
                    expected="data of dtype uint8",
                    got=f"{x.dtype}",
                    remedy="Data of images read by pyrovae.data.load have been through Pixels already.",
                )
            )

    def inverse(self, x: Tensor) -> Tensor:
        """The nearest byte, values outside [0, 1] clamped."""
        return (x * 255).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Flatten(Transform):
    """Every datum as a vector: ``(n, ...)`` to ``(n, d)``.

    Arguments:
        shape: the shape of a datum before, for the inverse; None where none is wanted.

    Raises:
        ValueError: the data do not have that shape.

    Example:
        >>> flat = Flatten(shape=[1, 28, 28])
        >>> x = torch.zeros(5, 1, 28, 28)
        >>> flat(x).shape, flat.inverse(flat(x)).shape
        (torch.Size([5, 784]), torch.Size([5, 1, 28, 28]))
    """

    shape: list[int] | None = None

    def __post_init__(self) -> None:
        if self.shape is not None:
            object.__setattr__(self, "shape", [int(length) for length in self.shape])

    def __call__(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1 if x.shape[0] else prod(x.shape[1:]))

    def check(self, x: Tensor) -> None:
        if self.shape is not None and list(x.shape[1:]) != self.shape:
            raise ValueError(
                explain(
                    "Flatten",
                    expected=f"data of shape (n, {', '.join(map(str, self.shape))})",
                    got=f"{tuple(x.shape)}",
                    remedy="Give Flatten the shape of one datum, or none.",
                )
            )

    def inverse(self, x: Tensor) -> Tensor:
        """``(n, d)`` back to ``(n, *shape)``.

        Raises:
            TypeError: no ``shape`` was given.
        """
        return super().inverse(x) if self.shape is None else x.reshape(-1, *self.shape)

    @property
    def invertible(self) -> bool:
        return self.shape is not None
