r""":math:`\mathrm{KL}(q \,\|\, p)` in closed form: whether there is one, its value, its parts by dimension.

``torch.distributions.kl_divergence`` knows pairs of classes. What Pyro wraps around a class (``to_event``,
``mask``, ``expand``) is taken off here first, and what its registry holds is used only where it is right:

- two masks must be the same, for where one applies alone the difference is no divergence;
- two transformed distributions must have been through the same, invertible, transforms (torch takes
  :math:`|x|` for one);
- torch's formula for any exponential family (in effect, for ``Wishart``) gives q no gradient, and counts as
  none;
- a ``Delta`` counts with its density, :math:`\log d - \log p(v)`, and may be an event of any kind.

Nothing here reads a tensor's value, so a captured step takes the way that eager Pyro does.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from pyro.distributions import Delta, MaskedDistribution
from pyro.distributions import kl as pyro_kl
from pyro.distributions.torch_distribution import ExpandedDistribution
from pyro.distributions.util import sum_rightmost
from torch import Tensor
from torch.distributions import ExponentialFamily, Independent, TransformedDistribution
from torch.distributions import kl as torch_kl
from torch.distributions.transforms import Transform, _InverseTransform
from torch.distributions.utils import lazy_property

from pyrovae.distributions import _formulas
from pyrovae.errors import explain
from pyrovae.types import Distribution

Value = Callable[[], Tensor]
"""A divergence that has been found, not computed yet."""

_NEEDS_DIAGONAL_NORMAL = {
    pyro_kl._kl_independent_mvn,
    _formulas.full_to_diagonal,
    _formulas.diagonal_to_low_rank,
}


def has_closed_form(q: Distribution, p: Distribution) -> bool:
    r"""Whether :func:`divergence` has a formula for :math:`\mathrm{KL}(q \,\|\, p)`; computes nothing.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import has_closed_form
        >>> p = dist.Normal(torch.zeros(3), 1.0).to_event(1)
        >>> has_closed_form(dist.MultivariateNormal(torch.zeros(3), torch.eye(3)), p)
        True
        >>> has_closed_form(dist.StudentT(5.0, torch.zeros(3)).to_event(1), p)
        False
    """
    return _find(q, p) is not None


def divergence(q: Distribution, p: Distribution) -> Tensor:
    r""":math:`\mathrm{KL}(q \,\|\, p) = \mathbb E_q[\log q - \log p]`, nats, in the shape of both batches.

    Arguments:
        q, p: distributions of the same event shape; batch shapes broadcast.

    Raises:
        ValueError: when the event shapes differ.
        NotImplementedError: when no closed form is known, see :func:`has_closed_form`.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import divergence
        >>> q = dist.Normal(torch.ones(4, 3), 1.0).to_event(1)
        >>> divergence(q, dist.Normal(torch.zeros(3), 1.0).to_event(1))
        tensor([1.5000, 1.5000, 1.5000, 1.5000])
    """
    if q.event_shape != p.event_shape:
        raise ValueError(
            explain(
                f"KL({_name(q)} || {_name(p)})",
                expected="distributions of one event shape",
                got=f"{tuple(q.event_shape)} and {tuple(p.event_shape)}",
                remedy="Declare the dimensions of one datum by .to_event(...) on both.",
            )
        )
    value = _find(q, p)
    if value is None:
        raise NotImplementedError(
            explain(
                f"KL({_name(q)} || {_name(p)})",
                expected="a pair of distributions whose divergence has a closed form",
                got="one without",
                remedy="Estimate it from samples, or register one by torch.distributions.kl.register_kl.",
            )
        )
    return value()


def per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    r"""The divergence's parts by element of the event, nats, ``(batch + event)``.

    .. math:: \mathrm{KL}(q \,\|\, p) = \sum_i \mathrm{KL}(q_i \,\|\, p_i)

    None where q or p doesn't factorise over its elements (such as a full normal, or a flow), or where the
    elements have no closed form.

    Example:
        >>> import pyro.distributions as dist, torch
        >>> from pyrovae.distributions import per_dimension
        >>> q = dist.Normal(torch.tensor([0.0, 2.0]), 1.0).to_event(1)
        >>> per_dimension(q, dist.Normal(torch.zeros(2), 1.0).to_event(1))
        tensor([0., 2.])
    """
    if q.event_shape != p.event_shape:
        return None
    q_inner, p_inner = _Elements.of(q), _Elements.of(p)
    if q_inner.fn.event_shape or p_inner.fn.event_shape or not _same_masks(q_inner.masks, p_inner.masks):
        return None
    value = _find(q_inner.fn, p_inner.fn)
    if value is None:
        return None
    parts = value().expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape) + q.event_shape)
    for mask, elements in q_inner.masks:
        # A mask covers the dimensions outside of what it was put on.
        parts = _masked(parts, mask if isinstance(mask, bool) else mask.reshape(mask.shape + (1,) * elements))
    return parts


class _Elements(NamedTuple):
    """What is left of a distribution without its wrappers, and the masks among these.

    Attributes:
        fn: the innermost distribution.
        masks: each with the number of dimensions that made an event where it was put on.
    """

    fn: Any
    masks: list[tuple[Tensor | bool, int]]

    @classmethod
    def of(cls, fn: Any) -> _Elements:
        masks: list[tuple[Tensor | bool, int]] = []
        while isinstance(fn, Independent | MaskedDistribution | ExpandedDistribution):
            if isinstance(fn, MaskedDistribution):
                masks.append((fn._mask, len(fn.event_shape)))
            fn = fn.base_dist
        return cls(fn, masks)


def _find(q: Any, p: Any) -> Value | None:
    """The divergence as something to call, once the wrappers are off; None where there is no closed form."""
    if q.event_shape != p.event_shape:
        return None
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    if isinstance(q, MaskedDistribution) or isinstance(p, MaskedDistribution):
        return _find_masked(q, p)
    if isinstance(q, ExpandedDistribution) or isinstance(p, ExpandedDistribution):
        inner = _find(*(x.base_dist if isinstance(x, ExpandedDistribution) else x for x in (q, p)))
        return None if inner is None else lambda: inner().expand(shape)
    if isinstance(_Elements.of(q).fn, Delta) and not _Elements.of(q).masks:
        return lambda: _from_point(q, p).expand(shape)
    if isinstance(q, Independent) and isinstance(p, Independent):
        return _find_independent(q, p)
    formula = _formula(type(q), type(p))
    if formula is None:
        return None
    if formula in _NEEDS_DIAGONAL_NORMAL and not any(_formulas.is_diagonal_normal(x) for x in (q, p)):
        return None
    if formula is _formulas.elements_to_series and not _formulas.is_normal_by_element(q):
        return None
    if formula is torch_kl._KL_REGISTRY.get((TransformedDistribution, TransformedDistribution)):
        # Not by torch's function, which compares the values of transforms.
        return _find(q.base_dist, p.base_dist) if _same_transforms(q.transforms, p.transforms) else None
    # Some of torch's formulas index by masks of q's shape or p's, and don't broadcast.
    return lambda: formula(_expanded(q, shape), _expanded(p, shape)).expand(shape)


def _find_masked(q: Any, p: Any) -> Value | None:
    (q_fn, q_mask), (p_fn, p_mask) = (
        (x.base_dist, x._mask) if isinstance(x, MaskedDistribution) else (x, True) for x in (q, p)
    )
    inner = _find(q_fn, p_fn) if _same_mask(q_mask, p_mask) else None
    return None if inner is None else lambda: _masked(inner(), q_mask)


def _find_independent(q: Any, p: Any) -> Value | None:
    shared = min(q.reinterpreted_batch_ndims, p.reinterpreted_batch_ndims)
    q_rest, p_rest = (_less(x, shared) for x in (q, p))
    inner = _find(q_rest, p_rest)
    return None if inner is None else lambda: sum_rightmost(inner(), shared)


def _less(fn: Any, dims: int) -> Any:
    """An ``Independent`` with so many event dimensions given back to the batch."""
    rest = fn.reinterpreted_batch_ndims - dims
    return Independent(fn.base_dist, rest) if rest else fn.base_dist


def _formula(q_type: type, p_type: type) -> _formulas.Formula | None:
    """What torch's registry holds for two classes, looked up as ``kl_divergence`` does."""
    try:
        formula = torch_kl._KL_MEMOIZE[q_type, p_type]
    except KeyError:
        formula = torch_kl._KL_MEMOIZE[q_type, p_type] = torch_kl._dispatch_kl(q_type, p_type)
    if formula is NotImplemented:
        return None
    if formula is torch_kl._KL_REGISTRY.get((ExponentialFamily, ExponentialFamily)):
        return None
    return _formulas.CAPTURABLE.get(formula, formula)


def _from_point(q: Any, p: Any) -> Tensor:
    """From a Delta, inside of any wrappers but masks."""
    point = _Elements.of(q).fn
    inside = len(q.event_shape) - len(point.event_shape)
    return sum_rightmost(point.log_density, inside) - p.log_prob(point.v)


def _expanded(fn: Any, shape: torch.Size) -> Any:
    if fn.batch_shape == shape:
        return fn
    expanded = fn.expand(shape)
    return expanded if type(expanded) is type(fn) else fn


def _masked(value: Tensor, mask: Tensor | bool) -> Tensor:
    if isinstance(mask, bool):
        return value if mask else torch.zeros_like(value)
    return torch.where(mask, value, value.new_zeros(()))


def _same_masks(ones: list[tuple[Tensor | bool, int]], others: list[tuple[Tensor | bool, int]]) -> bool:
    return len(ones) == len(others) and all(
        dims == dims_too and _same_mask(mask, mask_too)
        for (mask, dims), (mask_too, dims_too) in zip(ones, others, strict=True)
    )


def _same_mask(mask: Tensor | bool, other: Tensor | bool) -> bool:
    """Whether two masks are one, by identity: comparing values would read them."""
    if isinstance(mask, bool) or isinstance(other, bool):
        return mask is other
    return mask is other or bool(
        mask.shape == other.shape
        and mask.stride() == other.stride()
        and mask.storage_offset() == other.storage_offset()
        and mask.untyped_storage()._cdata == other.untyped_storage()._cdata
    )


def _same_transforms(transforms: Iterable[Transform], others: Iterable[Transform]) -> bool:
    transforms, others = list(transforms), list(others)
    return len(transforms) == len(others) and all(map(_same_transform, transforms, others))


def _same_transform(transform: Transform, other: Transform) -> bool:
    """Whether both are the same invertible function, by their settings."""
    if not transform.bijective:
        return False
    if transform is other:
        return True
    if isinstance(transform, _InverseTransform) and isinstance(other, _InverseTransform):
        return _same_transform(transform.inv, other.inv)
    return type(transform) is type(other) and _same_settings(_settings(transform), _settings(other))


def _settings(transform: Transform) -> dict[str, Any]:
    """All that was set, less what was computed from it and kept."""
    kept = (name for name in vars(transform) if _is_lazy(type(transform), name))
    hidden = {"_cached_x_y", "_inv", *kept}
    return {name: x for name, x in vars(transform).items() if name not in hidden}


def _is_lazy(kind: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(kind, name, None), lazy_property)


def _same_settings(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Transform):
        return _same_transform(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same_settings(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same_settings, one, other))
    return isinstance(one, bool | int | float | str) and one == other


def _name(fn: Any) -> str:
    inner = _Elements.of(fn).fn
    return type(inner).__name__
