"""The contract of every part: it is found here by itself, so a new one can't be forgotten.

A part must describe itself and be rebuilt from that, print itself, give gradients to all its parameters, and
keep any leading dimensions; a head or a prior must make a distribution that scores its own samples.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

import pyrovae as pv
from pyrovae.spec import build, describe

IMAGE = (3, 9, 6)

NETS: dict[str, list[tuple[nn.Module, tuple[int, ...], tuple[int, ...]]]] = {
    "MLP": [
        (pv.nets.MLP(6, 5), (6,), (5,)),
        (pv.nets.MLP(6, 8, 7, 5, activation=nn.Tanh), (6,), (5,)),
    ],
    "ConvEncoder": [
        (pv.nets.ConvEncoder(IMAGE, 5, channels=(4, 6)), IMAGE, (5,)),
        (pv.nets.ConvEncoder((1, 1, 1), 2, channels=(4,), residual=2), (1, 1, 1), (2,)),
        (pv.nets.ConvEncoder((1, 28, 20), 5, channels=(4, 6, 8), activation=nn.SiLU), (1, 28, 20), (5,)),
    ],
    "ConvDecoder": [
        (pv.nets.ConvDecoder(5, IMAGE, channels=(6, 4)), (5,), IMAGE),
        (pv.nets.ConvDecoder(5, (1, 28, 20), channels=(8, 6, 4), residual=1), (5,), (1, 28, 20)),
        (pv.nets.ConvDecoder(2, (2, 1, 7), channels=(3,)), (2,), (2, 1, 7)),
    ],
}
HEADS: dict[str, list[tuple[Any, tuple[int, ...], tuple[int, ...]]]] = {
    "Normal": [(pv.heads.Normal(), (6,), (3,)), (pv.heads.Normal(event_dim=3), (4, 5, 5), (2, 5, 5))],
    "IsotropicNormal": [
        (pv.heads.IsotropicNormal(0.5), (6,), (6,)),
        (pv.heads.IsotropicNormal(0.5, learn=False, event_dim=3), IMAGE, IMAGE),
    ],
    "CommittedNormal": [
        (pv.heads.CommittedNormal(2.0), (6,), (3,)),
        (pv.heads.CommittedNormal(2.0, event_dim=3), (4, 5, 5), (2, 5, 5)),
    ],
    "Bernoulli": [(pv.heads.Bernoulli(), (6,), (6,)), (pv.heads.Bernoulli(event_dim=3), IMAGE, IMAGE)],
    "normal": [(pv.heads.normal, (6,), (3,))],
    "bernoulli": [(pv.heads.bernoulli, (6,), (6,))],
}
PRIORS: dict[str, list[Any]] = {
    "StandardNormal": [pv.priors.StandardNormal(3)],
    "DiagonalNormal": [pv.priors.DiagonalNormal(3)],
}
MODELS: dict[str, list[Any]] = {
    "VAE": [pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 6), pv.heads.bernoulli)],
}
GUIDES: dict[str, list[Any]] = {
    "Amortized": [
        pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.normal)),
        pv.guides.Amortized(
            z1=(pv.nets.MLP(6, 4), pv.heads.normal), z2=(pv.nets.MLP(6, 3), pv.heads.IsotropicNormal())
        ),
    ],
    "PerDatum": [pv.guides.PerDatum(5, z=(6, pv.heads.normal))],
    "SemiAmortized": [
        pv.guides.SemiAmortized(
            pv.guides.Amortized(z=(pv.nets.MLP(6, 6), pv.heads.normal)),
            pv.models.VAE(pv.priors.DiagonalNormal(3), pv.nets.MLP(3, 6), pv.heads.bernoulli),
            steps=2,
        )
    ],
}
TABLES = {"nets": NETS, "heads": HEADS, "priors": PRIORS, "models": MODELS, "guides": GUIDES}


@pytest.mark.parametrize("home", TABLES)
def test_no_part_is_left_out(home: str) -> None:
    assert set(TABLES[home]) == set(getattr(pv, home).__all__)


def _every() -> list[Any]:
    parts = []
    for table in TABLES.values():
        for name, cases in table.items():
            for i, case in enumerate(cases):
                parts.append(pytest.param(case[0] if isinstance(case, tuple) else case, id=f"{name}-{i}"))
    return parts


@pytest.mark.parametrize("part", _every())
def test_a_part_is_rebuilt_from_what_it_says_of_itself(part: Any) -> None:
    description = json.loads(json.dumps(describe(part)))
    again = build(description)
    assert type(again) is type(part)
    assert describe(again) == description
    if isinstance(part, nn.Module):
        again.load_state_dict(part.state_dict())


@pytest.mark.parametrize("part", _every())
def test_a_part_prints_itself_and_says_what_it_is(part: Any) -> None:
    assert type(part).__name__ in repr(part)
    assert inspect.getdoc(type(part))


def _cases(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(*case, id=f"{name}-{i}") for name, cs in table.items() for i, case in enumerate(cs)]


@pytest.mark.parametrize(("net", "inputs", "outputs"), _cases(NETS))
@pytest.mark.parametrize("leading", [(4,), (2, 3), (2, 1, 3)])
def test_nets_keep_leading_dimensions(
    net: nn.Module, inputs: tuple[int, ...], outputs: tuple[int, ...], leading: tuple[int, ...]
) -> None:
    x = torch.randn(*leading, *inputs)
    y = net(x)
    assert y.shape == (*leading, *outputs)
    flat = net(x.reshape(-1, *inputs))
    assert torch.allclose(y.reshape(flat.shape), flat, atol=1e-5)
    y.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


@pytest.mark.parametrize(("net", "inputs", "outputs"), _cases(NETS))
def test_nets_refuse_what_does_not_fit(net: nn.Module, inputs: tuple[int, ...], outputs: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        net(torch.randn(4, inputs[0] + 1, *inputs[1:]))


@pytest.mark.parametrize(("head", "inputs", "event"), _cases(HEADS))
@pytest.mark.parametrize("leading", [(4,), (2, 4)])
def test_heads_make_distributions(
    head: Any, inputs: tuple[int, ...], event: tuple[int, ...], leading: tuple[int, ...]
) -> None:
    t = torch.randn(*leading, *inputs, requires_grad=True)
    d = head(t)
    assert (tuple(d.batch_shape), tuple(d.event_shape)) == (leading, event)
    x = d.sample()
    log_prob = d.log_prob(x)
    assert log_prob.shape == leading
    assert torch.isfinite(log_prob).all()
    log_prob.sum().backward()
    assert t.grad is not None
    assert t.grad.abs().sum() > 0
    if isinstance(head, nn.Module):
        assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize("prior", [p for table in PRIORS.values() for p in table])
def test_priors_make_distributions(prior: Any) -> None:
    d = prior()
    assert (tuple(d.batch_shape), tuple(d.event_shape)) == ((), (3,))
    with torch.no_grad():
        draws = d.expand([20_000]).sample()
    assert draws.mean().item() == pytest.approx(0.0, abs=0.02)
    assert draws.std().item() == pytest.approx(1.0, abs=0.02)
    d.log_prob(draws[:5]).sum().backward() if list(prior.parameters()) else None
    assert all(p.grad is not None for p in prior.parameters())
    moved = prior.double()()
    assert moved.sample().dtype == torch.float64
    prior.float()


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


@pytest.mark.parametrize("model", [m for table in MODELS.values() for m in table])
def test_models_generate_and_score(model: Any) -> None:
    assert model.factorisation in repr(model)
    x = model(size=5)
    assert x.shape[0] == 5
    trace = pyro.poutine.trace(model).get_trace(x)
    assert trace.nodes["x"]["is_observed"]
    assert torch.isfinite(trace.log_prob_sum())
    named = {name for name, site in trace.nodes.items() if site["type"] == "param"}
    assert len(named) == len(list(model.parameters())), "every parameter is named to Pyro"
    with pytest.raises(ValueError, match="size="):
        model()


@pytest.mark.parametrize("guide", [g for table in GUIDES.values() for g in table])
def test_guides_sample_every_site(guide: Any) -> None:
    assert guide.factorisation in repr(guide)
    x = torch.bernoulli(torch.full((5, 6), 0.5))
    index = [torch.arange(5)] if isinstance(guide, pv.guides.PerDatum) else []
    trace = pyro.poutine.trace(guide).get_trace(x, *index)
    assert set(guide.sites) == {n for n, s in trace.nodes.items() if s["type"] == "sample"} - {"data"}
    trace.log_prob_sum().backward()
    assert all(p.grad is not None for p in guide.parameters())
    with pytest.raises(ValueError, match="data x"):
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
