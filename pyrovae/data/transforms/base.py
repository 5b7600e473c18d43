"""What a transform is, and how transforms are chained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from pyrovae.errors import explain
from pyrovae.randomness import isolated


class Transform:
    """A map of whole batches ``(n, ...)`` to whole batches, on the batch's own device.

    A transform of your own subclasses this (to have a check or an inverse) or is any callable of a tensor.
    """

    def __call__(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def check(self, x: Tensor) -> None:
        """Raises where ``x`` is not what the transform is for; called once for data, not at every step."""

    def inverse(self, x: Tensor) -> Tensor:
        """The way back.

        Raises:
            TypeError: there is none.
        """
        raise TypeError(
            explain(
                f"{type(self).__name__}.inverse",
                expected="a transform that can be undone",
                got=repr(self),
                remedy="Invert the other transforms of the chain one by one (see `invertible`).",
            )
        )

    @property
    def invertible(self) -> bool:
        """Whether :meth:`inverse` exists."""
        return type(self).inverse is not Transform.inverse


@dataclass(frozen=True)
class Chain(Transform):
    """Transforms one after the other; the inverse goes back in reverse order.

    Raises:
        TypeError: something in the list can't be called.

    Example:
        >>> import torch
        >>> from pyrovae.data import Chain, Flatten, Pixels
        >>> chain = Chain([Pixels(), Flatten(shape=[1, 2, 2])])
        >>> x = torch.randint(256, (3, 1, 2, 2), dtype=torch.uint8)
        >>> torch.equal(chain.inverse(chain(x)), x)
        True
    """

    transforms: list[Callable[[Tensor], Tensor]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", list(self.transforms))
        for position, transform in enumerate(self.transforms):
            if not callable(transform):
                raise TypeError(
                    explain(
                        f"Chain.transforms[{position}]",
                        expected="a transform, or any callable of a tensor",
                        got=repr(transform),
                        remedy="Pass objects such as Binarize(), not their names.",
                    )
                )

    def __call__(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def check(self, x: Tensor) -> None:
        with isolated(x.device):
            for position, transform in enumerate(self.transforms):
                if position:
                    x = self.transforms[position - 1](x)
                if isinstance(transform, Transform):
                    transform.check(x)

    def inverse(self, x: Tensor) -> Tensor:
        if not self.invertible:
            return super().inverse(x)
        for transform in reversed(self.transforms):
            x = transform.inverse(x)  # type: ignore[attr-defined]
        return x

    @property
    def invertible(self) -> bool:
        return all(isinstance(transform, Transform) and transform.invertible for transform in self.transforms)

    def __repr__(self) -> str:
        return f"Chain({self.transforms!r})"


def chained(*transforms: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
    """Transforms as one, chains spliced: a :class:`Chain` of several, the one there is, or None."""
    steps: list[Callable[[Tensor], Tensor]] = []
    for transform in transforms:
        if transform is not None:
            steps += transform.transforms if isinstance(transform, Chain) else [transform]
    return Chain(steps) if len(steps) > 1 else steps[0] if steps else None
