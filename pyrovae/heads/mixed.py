"""The head of tables whose columns are of several types: a likelihood for each group of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pyrovae import distributions
from pyrovae.arguments import is_part, shown
from pyrovae.errors import explain
from pyrovae.types import Distribution, Head


class Mixed(nn.Module):
    r"""Named groups of columns, independent given z, each of a head of its own.

    .. math::
        \mathrm{head}(t) = \prod_g \mathrm{head}_g(t_g), \qquad t = (t_1, t_2, \dots)

    Features and columns are in the order in which the groups are named. A column that may have gaps takes
    ``heads.Masked(...)``; where any may, ``heads.Masked(heads.Mixed(...))`` wraps them all.

    Arguments:
        columns: for each group of columns, by its name, a pair (head, width), the head of ``event_dim`` 1.
            Consecutive columns of one type may share a group.

    Shapes: features ``(..., features(d))`` become an event of shape ``(d,)``, where d is the sum of the
        widths and its features the sum of the groups'.

    Raises:
        TypeError: for a group that isn't a pair of a head and a width.
        ValueError: for no groups, a width that is no positive whole number, a head of images, an output that
            doesn't fit; and for data outside the support, by the group's name.

    References:
        Nazabal, Olmos, Ghahramani and Valera, 2018, Handling Incomplete Heterogeneous Data using VAEs,
        https://arxiv.org/abs/1807.03653

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.Mixed(age=(heads.normal, 1), visits=(heads.Poisson(), 2), ill=(heads.bernoulli, 1))
        >>> head.features(4)  # a loc and a log variance, two log rates, a logit
        5
        >>> p = head(torch.zeros(6, 5))
        >>> p.batch_shape, p.event_shape
        (torch.Size([6]), torch.Size([4]))
        >>> {name: tuple(part.shape) for name, part in head.cut(torch.zeros(6, 4)).items()}
        {'age': (6, 1), 'visits': (6, 2), 'ill': (6, 1)}
    """

    event_dim = 1

    def __init__(self, **columns: tuple[Head, int]) -> None:
        super().__init__()
        if not columns:
            raise ValueError(
                explain(
                    "heads.Mixed",
                    expected="at least one group of columns",
                    got="none",
                    remedy="Write Mixed(age=(heads.Normal(), 1), ill=(heads.Bernoulli(), 1)).",
                )
            )
        for name, column in columns.items():
            _check(name, column)
        self.columns = dict(columns)
        self.widths = {name: width for name, (_, width) in columns.items()}
        self.heads = nn.ModuleDict(
            {n: head for n, (head, _) in columns.items() if isinstance(head, nn.Module)}
        )

    @property
    def dim(self) -> int:
        """The number of columns, d."""
        return sum(self.widths.values())

    def features(self, d: int) -> int:
        """How many network outputs an event of size d takes: the sum of the groups'.

        Raises:
            ValueError: for a d that isn't the sum of the widths.
        """
        if d != self.dim:
            raise ValueError(
                explain(
                    "heads.Mixed",
                    expected=f"events of {self.dim} columns ({_listed(self.widths)})",
                    got=str(d),
                    remedy="Make the widths add up to the table's.",
                )
            )
        return sum(self._sizes().values())

    def cut(self, x: Tensor) -> dict[str, Tensor]:
        """The columns of a table ``(..., d)`` by the names of their groups, ``(..., width)`` each.

        Raises:
            ValueError: for another number of columns.
        """
        return _cut("heads.Mixed.cut, a table", x, self.widths)

    def cut_features(self, t: Tensor) -> dict[str, Tensor]:
        """A network's output ``(..., features(d))`` by the names of the groups that it is for.

        Raises:
            ValueError: for another number of features.
        """
        return _cut("heads.Mixed, a network output", t, self._sizes())

    def forward(self, t: Tensor) -> Distribution:
        parts = self.cut_features(t)
        return distributions.Mixed({name: head(parts[name]) for name, (head, _) in self.columns.items()})

    def _sizes(self) -> dict[str, int]:
        return {name: int(_features(head, width)) for name, (head, width) in self.columns.items()}

    def extra_repr(self) -> str:
        return ", ".join(f"{name}=({head!r}, {width})" for name, (head, width) in self.columns.items())


def _features(head: Any, width: int) -> int:
    count: int = head.features(width)
    return count


def _check(name: str, column: Any) -> None:
    pair = isinstance(column, Sequence) and len(column) == 2 and is_part(column[0])
    if not pair or not hasattr(column[0], "features"):
        raise TypeError(
            explain(
                f"heads.Mixed, column {name!r}",
                expected="a pair (head, width), the head with a method features(d)",
                got=shown(column),
                remedy=f"Write Mixed({name}=(heads.Normal(), 1)).",
            )
        )
    head, width = column
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ValueError(
            explain(
                f"heads.Mixed, column {name!r}",
                expected="a positive number of columns",
                got=repr(width),
                remedy=f"Write Mixed({name}=(head, 1)) for a single one.",
            )
        )
    if getattr(head, "event_dim", 1) != 1:
        raise ValueError(
            explain(
                f"heads.Mixed, column {name!r}",
                expected="a head of vectors, event_dim=1",
                got=f"event_dim={head.event_dim}",
                remedy="A table's row is a vector; leave event_dim out.",
            )
        )


def _cut(where: str, x: Tensor, sizes: dict[str, int]) -> dict[str, Tensor]:
    total = sum(sizes.values())
    if x.ndim == 0 or x.shape[-1] != total:
        raise ValueError(
            explain(
                where,
                expected=f"shape (..., {total}): {_listed(sizes)}",
                got=f"shape {tuple(x.shape)}",
                remedy="Give the network features(d) outputs, and each group its width.",
            )
        )
    return dict(zip(sizes, x.split(list(sizes.values()), -1), strict=True))


def _listed(sizes: dict[str, int]) -> str:
    return ", ".join(f"{size} for {name!r}" for name, size in sizes.items())
