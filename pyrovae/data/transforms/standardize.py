"""Zero mean and unit variance, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from pyrovae.data.transforms.base import Transform
from pyrovae.data.transforms.ranges import require_floating
from pyrovae.errors import explain


@dataclass(frozen=True)
class Standardize(Transform):
    r"""Zero mean and unit variance: :math:`(x - \mu) / \sigma`, with its inverse.

    Densities change by a constant:

    .. math::
        \log p(x) = \log p_y\big((x - \mu) / \sigma\big) - \sum_i \log \sigma_i

    Arguments:
        mean, scale: one number for all entries, or one for each channel, or one for each entry of a datum
            (in the order of a flattened datum).

    Raises:
        ValueError: a scale that is not positive, numbers that are not finite, or as many of them as fit
            neither the entries nor the channels of the data.

    Example:
        >>> x = torch.tensor([[0.0, 1.0], [2.0, 1.0]])
        >>> standardize = Standardize.of(x)
        >>> standardize
        Standardize(mean=[1.0, 1.0], scale=[1.0, 1.0])
        >>> standardize(x)
        tensor([[-1.,  0.],
                [ 1.,  0.]])
    """

    mean: float | list[float] = 0.0
    scale: float | list[float] = 1.0
    _ready: dict[tuple[torch.device, torch.dtype, torch.Size], tuple[Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            value = getattr(self, name)
            numbers = [float(v) for v in value] if isinstance(value, Iterable) else float(value)
            object.__setattr__(self, name, numbers)
            entries = torch.tensor(numbers, dtype=torch.float64)
            sound = bool(torch.isfinite(entries).all()) and (name == "mean" or bool((entries > 0).all()))
            if not sound or not entries.numel():
                raise ValueError(
                    explain(
                        f"Standardize.{name}",
                        expected="finite numbers" if name == "mean" else "positive finite numbers",
                        got=_short(numbers),
                        remedy="Standardize.of(x) reads both from data.",
                    )
                )

    @classmethod
    def of(cls, x: Tensor) -> Standardize:
        """The transform that standardises ``x`` per entry of a datum; constant entries keep scale 1.

        NaN is passed over: what is missing plays no part.
        """
        flat = x.reshape(x.shape[0], -1)
        mean, scale = [], []
        for columns in torch.split(
            flat, 256, dim=1
        ):  # float64 of all columns at once would be large for images
            known = columns.double()
            center = known.nanmean(dim=0).nan_to_num()  # 0 where nothing is known
            variance = (known - center).square().nanmean(dim=0)
            lowest = known.nan_to_num(nan=torch.inf).amin(dim=0)
            constant = ~(known.nan_to_num(nan=-torch.inf).amax(dim=0) > lowest)
            mean += center.tolist()
            scale += torch.where(constant, 1.0, variance.sqrt()).tolist()
        return cls(mean=mean, scale=scale)

    def __call__(self, x: Tensor) -> Tensor:
        mean, scale = self._numbers(x)
        return (x - mean).div_(scale)

    def check(self, x: Tensor) -> None:
        require_floating("Standardize", x)
        self._numbers(x)

    def inverse(self, x: Tensor) -> Tensor:
        mean, scale = self._numbers(x)
        return torch.addcmul(mean, x, scale)

    def __repr__(self) -> str:
        return f"Standardize(mean={_short(self.mean)}, scale={_short(self.scale)})"

    def _numbers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        key = (x.device, x.dtype, x.shape[1:])
        if key not in self._ready:  # 784 Python floats are too slow to convert at every step
            self._ready[key] = (self._fitted("mean", x), self._fitted("scale", x))
        return self._ready[key]

    def _fitted(self, name: str, x: Tensor) -> Tensor:
        numbers = torch.tensor(getattr(self, name), dtype=x.dtype, device=x.device)
        datum = x.shape[1:]
        if numbers.ndim == 0:
            return numbers
        if numbers.numel() == prod(datum):
            return numbers.view(datum)
        if len(datum) > 1 and numbers.numel() == datum[0]:
            return numbers.view(-1, *[1] * (len(datum) - 1))
        raise ValueError(
            explain(
                f"Standardize.{name}",
                expected=f"one number, or one for each channel or each entry of data of shape {tuple(datum)}",
                got=f"{numbers.numel()} numbers",
                remedy="Standardize.of(x) reads them from data of the right shape.",
            )
        )


def _short(numbers: float | list[float]) -> str:
    """The numbers as Python writes them where they are few, else the first three and how many there are."""
    if isinstance(numbers, float) or len(numbers) <= 4:
        return repr(numbers)
    return f"[{', '.join(f'{number:.4g}' for number in numbers[:3])}, ... {len(numbers)} numbers]"
