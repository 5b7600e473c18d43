"""Several priors side by side: one latent vector whose coordinates have names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from pyrovae.covariates import asked, given_to
from pyrovae.distributions import Mixed
from pyrovae.distributions._formulas import is_diagonal_normal
from pyrovae.errors import explain
from pyrovae.types import Distribution, Prior


class Joint(nn.Module):
    r"""Independent blocks of one latent vector, each with a prior and a name of its own.

    .. math:: p(z) = \prod_b p_b(z_b), \qquad z = (z_1, z_2, \dots)

    What is known of a factor of variation, a range, a time constant, a measurement that some data have,
    goes into the prior of its block, and makes that coordinate mean it; another block takes up the rest. A
    block may be any callable that returns a distribution over vectors, and may ask for covariates:

    .. code-block:: python

        def tilt(y):  # measured to 0.05, in units of its spread
            return dist.Normal(y, 0.05).to_event(1)

        prior = priors.Joint(tilt=tilt, style=priors.StandardNormal(7))

    Where all blocks are diagonal normals so is the whole, and divergences of normals are in closed form.

    Arguments:
        blocks: by name, from left to right. All that ask for covariates are given the same ones.

    Shapes: the event is ``(d,)`` with d the sum of the blocks'; ``prior.cut(z)`` names the parts of z.

    Raises:
        TypeError: for no block, or one that can't be called.
        ValueError: when a block's events aren't vectors, or covariates don't come.

    Example:
        >>> import torch
        >>> from pyrovae import priors
        >>> prior = priors.Joint(tilt=priors.Laplace(1), style=priors.StandardNormal(3))
        >>> prior().event_shape
        torch.Size([4])
        >>> {name: tuple(part.shape) for name, part in prior.cut(torch.zeros(5, 4)).items()}
        {'tilt': (5, 1), 'style': (5, 3)}
    """

    def __init__(self, **blocks: Prior) -> None:
        super().__init__()
        if not blocks:
            raise TypeError(
                explain(
                    "priors.Joint",
                    expected="at least one block",
                    got="none",
                    remedy="Write Joint(tilt=priors.Laplace(1), style=priors.StandardNormal(7)).",
                )
            )
        for name, block in blocks.items():
            if not callable(block):
                raise TypeError(
                    explain(
                        f"priors.Joint, block {name!r}",
                        expected="a callable that returns a distribution",
                        got=repr(block),
                        remedy="Write lambda: distribution, or take one of pyrovae.priors.",
                    )
                )
        self.blocks = dict(blocks)
        self.parts = nn.ModuleDict({n: block for n, block in blocks.items() if isinstance(block, nn.Module)})

    @property
    def covariates(self) -> int:
        """How many tensors the blocks ask for."""
        return max(asked(block, 0) for block in self.blocks.values())

    @property
    def dim(self) -> int | None:
        """The number of latent dimensions; None where a block tells its own only once covariates come."""
        widths = [self._width(name) for name in self.blocks]
        return None if None in widths else sum(filter(None, widths))

    def cut(self, z: Tensor) -> dict[str, Tensor]:
        """The parts of latent vectors ``(..., d)`` by the names of the blocks, ``(..., width)`` each.

        Raises:
            ValueError: for vectors of another size, or when more than one block has a width that isn't known
                before covariates come (such a block may say it as ``dim``).
        """
        widths = {name: self._width(name) for name in self.blocks}
        open_ones = [name for name, width in widths.items() if width is None]
        rest = z.shape[-1] - sum(width or 0 for width in widths.values())
        if len(open_ones) > 1 or rest < len(open_ones) or (rest and not open_ones):
            raise ValueError(
                explain(
                    "priors.Joint.cut",
                    expected=f"latent vectors of the blocks' widths {widths}",
                    got=f"shape {tuple(z.shape)}",
                    remedy="Blocks that ask for covariates may tell their width as an attribute, dim.",
                )
            )
        sizes = [rest if width is None else width for width in widths.values()]
        return dict(zip(self.blocks, z.split(sizes, -1), strict=True))

    def forward(self, *given: Tensor | None) -> Distribution:
        parts = {name: self._part(name, given) for name in self.blocks}
        if all(is_diagonal_normal(part) for part in parts.values()):
            return _normal(list(parts.values()))
        return Mixed(parts)

    def _part(self, name: str, given: Sequence[Tensor | None]) -> Distribution:
        block = self.blocks[name]
        part = block(*given_to(f"priors.Joint, block {name!r}", asked(block, 0), given))
        if len(part.event_shape) != 1:
            raise ValueError(
                explain(
                    f"priors.Joint, block {name!r}",
                    expected="a distribution over vectors",
                    got=f"the event shape {tuple(part.event_shape)}",
                    remedy="Write .to_event(1), a single number as a vector of one.",
                )
            )
        return part

    def _width(self, name: str) -> int | None:
        block = self.blocks[name]
        width = getattr(block, "dim", None)
        if width is None and not asked(block, 0):
            width = self._part(name, ()).event_shape[0]
        return width


def _normal(parts: Sequence[Any]) -> Distribution:
    """Diagonal normals side by side, as one."""
    batch = torch.broadcast_shapes(*(part.batch_shape for part in parts))
    loc, scale = (
        torch.cat([x.expand(*batch, x.shape[-1]) for x in each], -1)
        for each in zip(*((part.base_dist.loc, part.base_dist.scale) for part in parts), strict=True)
    )
    return dist.Normal(loc, scale).to_event(1)
