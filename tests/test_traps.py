"""Known traps of Pyro, torch and ArviZ: each is reproduced, and shown not to reach a user."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor, nn

import pyrovae as pv


def _moved(net: nn.Module, before: list[Tensor]) -> float:
    return max(float((a.detach() - b).abs().max()) for a, b in zip(net.parameters(), before, strict=True))


def test_a_second_fit_in_one_process_trains(digits: Tensor, make_pair: Any) -> None:
    """In plain Pyro the second model of the same names does not move at all."""
    moves = []
    for _ in range(2):
        model, guide = make_pair(seed=len(moves))
        before = [p.detach().clone() for p in model.parameters()]
        svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
        for _ in range(3):
            svi.step(digits[:50])
        moves.append(_moved(model, before))
    assert moves[0] > 0
    assert moves[1] == 0.0, "Pyro has mended the trap: this test can go"
    for seed in range(2):
        model, guide = make_pair(seed=seed)
        before = [p.detach().clone() for p in model.parameters()]
        pv.fit(model, guide, digits[:100], epochs=1, progress=False)
        assert _moved(model, before) > 0


def test_two_fits_give_what_each_gives_alone(digits: Tensor, make_pair: Any) -> None:
    def train(seed: int) -> Any:
        return pv.fit(*make_pair(seed=seed), digits[:200], epochs=2, seed=seed, progress=False)

    alone = train(1)
    train(0)
    after_another = train(1)
    assert alone.history == after_another.history
    assert all(torch.equal(value, after_another.params[name]) for name, value in alone.params.items())


def test_one_name_for_two_networks_is_refused(digits: Tensor) -> None:
    """pyro.module("net", ...) on both sides: the second network would never be trained."""
    decoder, encoder = nn.Linear(2, 64), nn.Linear(64, 4)

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("net", decoder)
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("net", encoder)
        assert x is not None
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(encoder(x)))

    with pytest.raises(ValueError, match=r"model\.decoder\.weight.*never be trained.*a name used once"):
        pv.fit(model, guide, digits[:100], epochs=1, progress=False)


def test_a_network_in_a_closure_must_be_named(digits: Tensor, make_pair: Any) -> None:
    """Without pyro.module it would be used, and neither trained nor moved nor saved."""
    model, _ = make_pair()
    encoder = nn.Linear(64, 8)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        assert x is not None
        with pyro.plate("data", len(x)):
            pyro.sample("z", pv.heads.normal(encoder(x)))

    with pytest.raises(ValueError, match=r"guide\.encoder\.weight.*pyro\.module"):
        pv.fit(model, guide, digits[:100], epochs=1, progress=False)


def test_networks_in_closures_are_moved_to_the_device() -> None:
    """What ``fit`` moves is what is found here."""
    decoder, encoder = nn.Linear(2, 64), nn.Linear(64, 4)

    def model(x: Tensor | None = None) -> None:
        decoder(x)

    def guide(x: Tensor | None = None) -> None:
        encoder(x)

    found = pv.training.parameters.networks(model, guide)
    assert found == {"model.decoder": decoder, "guide.encoder": encoder}


def test_a_vectorised_objective_needs_no_guess_of_its_plates(digits: Tensor, make_pair: Any) -> None:
    loss = TraceMeanField_ELBO(num_particles=3, vectorize_particles=True)
    pv.fit(*make_pair(), digits[:100], loss=loss, epochs=1, progress=False)
    assert loss.max_plate_nesting == float("inf"), "the user's object is not ours to change"


def test_evaluation_moves_no_weight(digits: Tensor, make_pair: Any) -> None:
    """svi.step under no_grad still moves weights by Adam's momentum; validation must not step."""
    model, guide = make_pair()
    run = pv.fit(model, guide, digits[:100], validation=digits[100:150], epochs=2, progress=False)
    before = [p.detach().clone() for p in model.parameters()]
    pv.evaluate.elbo(run, digits[:50])
    pv.evaluate.log_evidence(run, digits[:50], num_samples=10)
    assert _moved(model, before) == 0.0
    plain = pv.fit(*make_pair(), digits[:100], epochs=2, progress=False)
    with_validation = pv.fit(*make_pair(), digits[:100], validation=digits[100:150], epochs=2, progress=False)
    assert plain.history.column("train_loss") == with_validation.history.column("train_loss")


def test_the_posterior_predictive_is_not_the_data(digits: Tensor, make_pair: Any) -> None:
    """Predictive hands back x itself when x is observed."""
    model, guide = make_pair()
    run = pv.fit(model, guide, digits[:100], epochs=1, progress=False)
    x = digits[:20]
    with run.evaluating() as (p, q):
        trap = Predictive(p, guide=q, num_samples=2)(x)["x"]
    assert torch.equal(trap[0].reshape(x.shape), x), "Pyro has mended the trap: this test can go"
    drawn = pv.predict.posterior_predictive(run, x, num_samples=4)
    assert drawn.shape == (4, *x.shape)
    assert not any(torch.equal(draw, x) for draw in drawn)


def test_a_full_covariance_posterior_has_a_closed_form(digits: Tensor, make_pair: Any) -> None:
    """No KL is registered for it against a diagonal prior; falling back to Monte Carlo would be silent."""
    model, _ = make_pair()
    net = nn.Linear(64, 4)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("net", net)
        assert x is not None
        lower = 0.1 * torch.ones(4, 4).tril() + torch.eye(4)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.MultivariateNormal(net(x), scale_tril=lower))

    run = pv.Fit(model, guide)
    bound = pv.evaluate.elbo(run, digits[:10])
    assert bound.closed_form == {"z": True}
    lower = 0.1 * torch.ones(4, 4).tril() + torch.eye(4)
    with torch.no_grad():
        exact = torch.distributions.kl_divergence(
            torch.distributions.MultivariateNormal(net(digits[:10]), scale_tril=lower),
            torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4)),
        )
    assert torch.allclose(bound.kl["z"].to(exact), exact, atol=1e-5)


def test_gray_values_are_no_data_for_a_bernoulli(make_pair: Any) -> None:
    splits = pv.data.load("digits", transform=pv.data.Flatten())
    with pytest.raises(ValueError, match="Gray values have no density"):
        pv.fit(*make_pair(), splits, epochs=1, progress=False)


def test_the_bernoulli_is_given_by_logits() -> None:
    """sigmoid and then log loses what a large logit means: log(1 - sigmoid(200)) is -inf."""
    head = pv.heads.bernoulli(torch.full((1,), 200.0))
    assert head.log_prob(torch.zeros(1)).item() == pytest.approx(-200.0)


def test_importing_pyrovae_leaves_validation_on() -> None:
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(0.0, -1.0)


def test_a_function_makes_its_tensors_on_the_device_of_its_run() -> None:
    """torch.zeros(8) in a plain function would be on the CPU, whatever the device of the data."""
    parameters = pv.training.parameters.Parameters()
    program = pv.training.parameters.bound(lambda: torch.zeros(8), parameters, torch.device("meta"))
    assert program().device.type == "meta"
    assert torch.zeros(1).device.type == "cpu"
