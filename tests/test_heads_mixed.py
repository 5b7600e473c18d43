"""The head of a mixed table: the product of its columns, each named where it is wrong."""

from __future__ import annotations

import math

import pytest
import torch

import pyrovae as pv
from pyrovae import heads


def table() -> pv.heads.Mixed:
    return heads.Mixed(
        size=(heads.Normal(), 2), ill=(heads.bernoulli, 1), visits=(heads.SharedNegativeBinomial(1), 1)
    )


def test_a_mixed_density_is_the_product_of_its_columns() -> None:
    head, t = table(), torch.randn(6, 6)
    d, x = head(t), torch.tensor([0.3, -2.0, 1.0, 5.0])
    expected = (
        heads.normal(t[:, :4]).log_prob(x[:2])
        + heads.bernoulli(t[:, 4:5]).log_prob(x[2:3])
        + heads.SharedNegativeBinomial(1)(t[:, 5:]).log_prob(x[3:])
    )
    assert torch.allclose(d.log_prob(x), expected)
    assert torch.equal(d.mean[:, :2], t[:, :2])
    assert torch.equal(d.variance[:, 2], (t[:, 4].sigmoid() * (1 - t[:, 4].sigmoid())))
    cut = head.cut(x)
    assert {name: part.tolist() for name, part in cut.items()} == {
        "size": pytest.approx([0.3, -2.0]),
        "ill": [1.0],
        "visits": [5.0],
    }
    assert {name: part.shape[-1] for name, part in head.cut_features(t).items()} == {
        "size": 4,
        "ill": 1,
        "visits": 1,
    }
    assert [name for name, _ in head.named_parameters()] == ["heads.visits.log_inverse_dispersion"]


def test_a_column_outside_its_support_is_named() -> None:
    d = table()(torch.zeros(6, 6))
    x = torch.zeros(6, 4)
    assert d.support.check(x).all()
    for column, bad, match in [
        (0, math.nan, "'size': expected values in Real.*only NaN|'size'.*NaN"),
        (2, 2.0, "'ill': expected values in Boolean.*from 0 to 2"),
        (3, 0.5, "'visits'.*from 0 to 0.5"),
    ]:
        wrong = x.clone()
        wrong[4, column] = bad
        assert d.support.check(wrong).tolist() == [True] * 4 + [False, True]
        with pytest.raises(ValueError, match=match):
            d.log_prob(wrong)
    with pytest.raises(ValueError, match=r"rows of 4 columns.*'visits': 1"):
        d.log_prob(torch.zeros(6, 3))


def test_a_mixed_group_of_categories_has_its_mode_for_a_mean() -> None:
    head = heads.Mixed(stage=(heads.Categorical(3), 1), age=(heads.normal, 1))
    t = torch.tensor([[0.0, 3.0, 1.0, 0.5, 0.0]])
    d = head(t)
    assert d.mean.tolist() == [[1.0, 0.5]]
    assert d.mode.tolist() == [[1.0, 0.5]]
    x = d.sample((100,))
    assert x.dtype == torch.float32
    assert d.support.check(x).all()
    assert not d.support.check(torch.tensor([[3.0, 0.0]]))
