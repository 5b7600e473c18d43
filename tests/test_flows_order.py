"""Masked networks let through what comes before and nothing else: autoregressive flows keep that order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import pyrovae as pv


@pytest.mark.parametrize("hidden", [(), (4,), (32,), (4, 32), (32, 32)])
@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_masks_let_through_all_that_comes_before_and_nothing_else(
    dim: int, context: int, hidden: tuple[int, ...]
) -> None:
    net = pv.nets.MaskedMLP(dim, 2, context=context, hidden=hidden, activation=nn.Tanh).double()
    x = torch.randn(dim, dtype=torch.float64)
    c = torch.randn(context, dtype=torch.float64) if context else None
    seen: Any = torch.autograd.functional.jacobian(lambda v: net(v, c), x)
    before = torch.arange(dim).reshape(-1, 1, 1) > torch.arange(dim)
    assert torch.equal(seen != 0, before.expand_as(seen))
    if c is not None:
        told: Any = torch.autograd.functional.jacobian(lambda v: net(x, v), c)
        assert (told != 0).all()


def test_the_first_entry_is_told_more_than_a_line_of_the_context() -> None:
    net = pv.nets.MaskedMLP(3, context=1, hidden=(32,), activation=nn.Tanh)
    x, c = torch.zeros(3), torch.tensor([[-2.0], [0.0], [2.0]])
    first = net(x, c)[:, 0, 0]
    assert abs(first[0] + first[2] - 2 * first[1]) > 1e-3


@pytest.mark.parametrize("name", ["IAF", "MAF", "AutoregressiveSpline"])
@pytest.mark.parametrize("layers", [1, 2])
def test_autoregressive_flows_move_entries_in_order(name: str, layers: int) -> None:
    flow = getattr(pv.flows, name)(5, layers=layers, hidden=(32,), activation=nn.Tanh).double()
    x = torch.randn(5, dtype=torch.float64)
    jacobian: Any = torch.autograd.functional.jacobian(flow(), x)
    if layers == 1:
        assert torch.equal(jacobian != 0, torch.ones(5, 5, dtype=torch.bool).tril())
    else:
        assert (jacobian != 0).all()
