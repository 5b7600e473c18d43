r"""Bounds made of power means of importance weights: IWAE and all of its kin in one computation.

.. math:: B = \sum_p c_p \frac{1}{M_p} \sum_{m=1}^{M_p}
    \frac{1}{s_p} \log \frac{1}{K / M_p} \sum_{k \in m} w_k^{s_p},
    \qquad w_k = \frac{p(x, z_k)}{q(z_k \mid x)}
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Part(NamedTuple):
    """One power mean in a bound.

    Attributes:
        coefficient: :math:`c`.
        groups: :math:`M`, in how many groups the particles are averaged apart.
        power: :math:`s`; 0 stands for the mean of the log weights.
    """

    coefficient: float
    groups: int
    power: float


class Weights(NamedTuple):
    """What a bound's gradient is made of; all ``(particles, n)`` and held fixed.

    Attributes:
        direct: the derivative of the bound with respect to each log weight.
        path: the coefficient of the doubly reparameterized path derivative.
    """

    direct: Tensor
    path: Tensor


def value_of(log_weight: Tensor, parts: list[Part]) -> Tensor:
    """The bound for each datum, ``(n,)``, from log weights ``(particles, n)``."""
    values = [part.coefficient * _means(log_weight, part).mean(0) for part in parts]
    return torch.stack(values).sum(0)


def weights_of(log_weight: Tensor, parts: list[Part]) -> Weights:
    r"""The derivatives of a bound.

    With :math:`\tilde w_k \propto w_k^s` in its group, the derivative by :math:`\log w_k` is
    :math:`\tilde w_k`, and the path coefficient is :math:`(1 - s)\, \tilde w_k + s\, \tilde w_k^2`:
    the score, times :math:`\tilde w_k`, has been turned into :math:`\partial \tilde w_k / \partial \log w_k`.
    """
    direct, path = torch.zeros_like(log_weight), torch.zeros_like(log_weight)
    for coefficient, groups, power in parts:
        grouped = log_weight.reshape(groups, -1, log_weight.shape[-1])
        share = torch.softmax(power * grouped, 1)
        scale = coefficient / groups
        direct = direct + scale * share.reshape(log_weight.shape)
        path = path + scale * ((1 - power) * share + power * share.square()).reshape(log_weight.shape)
    return Weights(direct, path)


def costs_of(log_weight: Tensor, parts: list[Part]) -> Tensor:
    """For each particle the part of the bound that its draw has a part in, ``(particles, n)``."""
    costs = torch.zeros_like(log_weight)
    for part in parts:
        means = _means(log_weight, part) * (part.coefficient / part.groups)
        size = log_weight.shape[0] // part.groups
        costs = costs + means.repeat_interleave(size, 0)
    return costs


def left_out(log_weight: Tensor, parts: list[Part]) -> Tensor:
    """For each particle the same without it: its log weight is the mean of the others' of its group.

    References:
        Mnih and Rezende, 2016, Variational Inference for Monte Carlo Objectives,
        https://arxiv.org/abs/1602.06725
    """
    baselines = torch.zeros_like(log_weight)
    for part in parts:
        grouped = log_weight.reshape(part.groups, -1, log_weight.shape[-1])
        size = grouped.shape[1]
        if size == 1:
            # A group of one has nobody else in it; the mean over the other groups is independent of it too.
            if part.groups > 1:
                others = (log_weight.sum(0) - log_weight) / (part.groups - 1)
                baselines = baselines + others * (part.coefficient / part.groups)
            continue
        others = (grouped.sum(1, keepdim=True) - grouped) / (size - 1)
        own = torch.eye(size, dtype=torch.bool, device=log_weight.device)[None, :, :, None]
        replaced = torch.where(own, others[:, :, None], grouped[:, None])
        means = _power_mean(replaced, part.power, dim=2).reshape(log_weight.shape)
        baselines = baselines + means * (part.coefficient / part.groups)
    return baselines


def _means(log_weight: Tensor, part: Part) -> Tensor:
    """The power mean of each group, ``(groups, n)``."""
    return _power_mean(log_weight.reshape(part.groups, -1, log_weight.shape[-1]), part.power, dim=1)


def _power_mean(log_weight: Tensor, power: float, dim: int) -> Tensor:
    if power == 0.0:
        return log_weight.mean(dim)
    size = log_weight.shape[dim]
    return (torch.logsumexp(power * log_weight, dim) - math.log(size)) / power
