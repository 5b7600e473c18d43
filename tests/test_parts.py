"""The contract of every part: it is found here by itself, so a new one can't be forgotten.

A part must describe itself and be rebuilt from that, and print itself; a network must keep any leading
dimensions, and a program draw, score and name its sites. Of heads and priors, which make distributions,
``test_parts_distributions.py`` asks more, and of flows ``test_flows.py``.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pyro
import pytest
import torch
from part_checks import NetRow, ProgramRow, rows
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.spec import build, describe

NETS, HEADS, FLOWS, PRIORS = rows("NETS"), rows("HEADS"), rows("FLOWS"), rows("PRIORS")
MODELS, GUIDES = rows("MODELS"), rows("GUIDES")
TABLES = {
    "nets": NETS,
    "heads": HEADS,
    "flows": FLOWS,
    "priors": PRIORS,
    "models": MODELS,
    "guides": GUIDES,
}


@pytest.mark.parametrize("home", TABLES)
def test_no_part_is_left_out(home: str) -> None:
    public = getattr(pv, home)
    classes = {name for name in public.__all__ if isinstance(getattr(public, name), type)}
    assert set(TABLES[home]) == classes
    # The others are instances, ready made: heads.normal.
    assert all(type(getattr(public, name)).__name__ in classes for name in set(public.__all__) - classes)


def _cases(*tables: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(row, id=f"{name}-{i}")
        for table in tables
        for name, cases in table.items()
        for i, row in enumerate(cases)
    ]


@pytest.mark.parametrize("row", _cases(*TABLES.values()))
def test_a_part_is_rebuilt_from_what_it_says_of_itself(row: Any) -> None:
    part = row.make()
    description = json.loads(json.dumps(describe(part)))
    again = build(description)
    assert type(again) is type(part)
    assert describe(again) == description
    if isinstance(part, nn.Module):
        again.load_state_dict(part.state_dict())


@pytest.mark.parametrize("row", _cases(*TABLES.values()))
def test_a_part_prints_itself_and_says_what_it_is(row: Any) -> None:
    part = row.make()
    assert type(part).__name__ in repr(part)
    assert inspect.getdoc(type(part))


@pytest.mark.parametrize("row", _cases(NETS))
@pytest.mark.parametrize("leading", [(4,), (2, 3), (2, 1, 3)])
def test_nets_keep_leading_dimensions(row: NetRow, leading: tuple[int, ...]) -> None:
    net, more = row.make(), row.more(leading[-1])
    x = torch.randn(*leading, *row.inputs)
    y = net(x, *more)
    assert y.shape == (*leading, *row.outputs)
    one_by_one = torch.stack([net(part, *more) for part in x.reshape(-1, leading[-1], *row.inputs)])
    assert torch.allclose(y.reshape(one_by_one.shape), one_by_one, atol=1e-5)
    y.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize("row", _cases(NETS))
def test_nets_refuse_what_does_not_fit(row: NetRow) -> None:
    with pytest.raises(ValueError, match="shape"):
        row.make()(torch.randn(4, *row.inputs[:-1], row.inputs[-1] + 1), *row.more(4))


@pytest.mark.parametrize("head", [pv.heads.normal, pv.heads.bernoulli, pv.heads.IsotropicNormal(0.7)])
def test_densities_are_those_of_scipy(head: Any) -> None:
    from scipy import stats

    t = torch.randn(50, 4, dtype=torch.float64)
    with torch.no_grad():
        d = head(t) if not isinstance(head, nn.Module) else head.double()(t)
        x = d.sample()
        ours = d.log_prob(x).numpy()
    if head is pv.heads.bernoulli:
        expected = stats.bernoulli(torch.sigmoid(t).numpy()).logpmf(x.numpy())
    else:
        loc, scale = (t, 0.7) if isinstance(head, nn.Module) else (t[:, :2], (0.5 * t[:, 2:]).exp().numpy())
        expected = stats.norm(loc.numpy(), scale).logpdf(x.numpy())
    assert ours == pytest.approx(expected.sum(-1), rel=1e-5)


@pytest.mark.parametrize("row", _cases(MODELS))
def test_models_generate_and_score(row: ProgramRow) -> None:
    model, data = row.make(), row.data()
    assert model.factorisation in repr(model)
    given = data[len(row.observed) :]
    drawn = model(*[None] * len(row.observed), *given, size=5)
    assert all(len(x) == 5 for x in (drawn if isinstance(drawn, tuple) else (drawn,)))
    trace = pyro.poutine.trace(model).get_trace(*data)
    assert all(trace.nodes[name]["is_observed"] for name in row.observed)
    assert torch.isfinite(trace.log_prob_sum())
    named = {id(site["value"].unconstrained()) for site in trace.nodes.values() if site["type"] == "param"}
    assert named == {id(p) for p in model.parameters()}, "every parameter is named to Pyro"
    with pytest.raises(ValueError, match=r"size=|covariates"):
        model()


@pytest.mark.parametrize("row", _cases(GUIDES))
def test_guides_sample_every_site(row: ProgramRow) -> None:
    guide, data = row.make(), row.data()
    assert guide.factorisation in repr(guide)
    trace = pyro.poutine.trace(guide).get_trace(*data)
    assert set(guide.sites) == {n for n, s in trace.nodes.items() if s["type"] == "sample"} - {"data"}
    total = sum(trace.nodes[name]["value"].sin().sum() for name in guide.sites) + trace.log_prob_sum()
    total.backward()
    own = {id(p): n for n, p in guide.named_parameters()}
    named = {id(site["value"].unconstrained()) for site in trace.nodes.values() if site["type"] == "param"}
    assert named <= set(own)
    assert all(p.grad is not None for p in guide.parameters() if id(p) in named)
    with pytest.raises(ValueError, match=r"data x|views"):
        guide()


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: pv.nets.MLP(3), ValueError, "two or more"),
        (lambda: pv.nets.MLP(3, 0), ValueError, "positive layer sizes"),
        (lambda: pv.nets.ConvEncoder((28, 28), 3), ValueError, r"\(C, H, W\)"),
        (lambda: pv.nets.ConvDecoder(3, (1, 8, 8), channels=()), ValueError, "channels"),
        (lambda: pv.priors.StandardNormal(0), ValueError, "dim"),
        (lambda: pv.heads.IsotropicNormal(-1.0), ValueError, "scale"),
        (lambda: pv.heads.normal(torch.zeros(2, 3)), ValueError, r"even size.*\(2, 3\)"),
        (lambda: pv.guides.Amortized(), TypeError, "latent site"),
        (lambda: pv.guides.Amortized(z=nn.Linear(2, 2)), TypeError, "'z'.*pair"),
    ],
)
def test_bad_parameters_are_refused(make: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        make()


def test_a_flat_net_says_how_to_flatten_images() -> None:
    with pytest.raises(ValueError, match=r"Flatten\(\)"):
        pv.nets.MLP(64, 2)(torch.zeros(5, 1, 8, 8))


def test_a_residual_conv_vae_learns_faces_sized_images(digits: Tensor) -> None:
    """Convolutions on both sides, images as events, an odd size."""
    x = digits[:400].reshape(-1, 1, 8, 8)[..., :7]
    model = pv.models.VAE(
        pv.priors.StandardNormal(4),
        pv.nets.ConvDecoder(4, (1, 8, 7), channels=(8, 8), residual=1),
        pv.heads.Bernoulli(event_dim=3),
    )
    encoder = pv.nets.ConvEncoder((1, 8, 7), 8, channels=(8, 8), residual=1)
    guide = pv.guides.Amortized(z=(encoder, pv.heads.normal))
    run = pv.fit(model, guide, x, epochs=10, batch_size=50, progress=False)
    assert run.history[-1].train_loss < 0.9 * run.history[0].train_loss
