"""Networks and parameters that change between steps: a captured step follows, as eager Pyro does."""

from __future__ import annotations

import copy
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from alongside import Pair, both, built, data, pair, sgd
from pyro.infer import Trace_ELBO
from torch import nn

# What Pyro and torch say about what is done here on purpose.
unregistered = pytest.mark.filterwarnings("ignore:.*was not registered in the param store")
laid_out = pytest.mark.filterwarnings("ignore:grad and param do not obey")


def test_modes_of_training() -> None:
    def script(svi):
        net, svi = pair(svi, plain=False)
        for training in (True, True, False, False, True):
            net.train(training)
            yield svi.step(data())
            yield net

    both(script)


def test_one_layer_in_another_mode() -> None:
    def script(svi):
        net, svi = pair(svi, plain=False)
        yield svi.step(data())
        net.encoder[2].eval()
        for _ in range(2):
            yield svi.step(data())
        net.encoder[2].p = 0.9
        net.encoder[2].train()
        yield svi.step(data())
        yield net

    both(script)


@unregistered
@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_frozen_and_thawed(part: str) -> None:
    def script(svi):
        net, svi = pair(svi)
        for wanted in (True, True, False, False, True):
            getattr(net, part).requires_grad_(wanted)
            yield svi.step(data())
            yield net.state_dict()

    both(script)


@unregistered
def test_one_frozen_bias() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        net.encoder[0].bias.requires_grad_(False)
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()

    both(script)


@laid_out
def test_storage_replaced_through_data() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        for p in net.parameters():
            p.data = 0.5 * p.data
        yield svi.step(data())
        weight = net.decoder[0].weight
        weight.data = weight.data.t().contiguous().t()  # laid out otherwise
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()

    both(script)


def test_weights_changed_in_place() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        with torch.no_grad():
            net.encoder[0].weight.mul_(0.5)
        yield svi.step(data())
        yield net.state_dict()

    assert built(both(script)) == [0]


def test_moved_to_another_type() -> None:
    def script(svi):
        net = Pair()
        svi = svi(net.model, net.guide, sgd(), Trace_ELBO())
        yield svi.step(data(dtype=torch.float32))
        net.double()
        yield svi.step(data())
        yield svi.step(data())
        net.float()
        yield svi.step(data(dtype=torch.float32))
        yield net.state_dict()

    both(script, rtol=1e-5)


def test_a_parameter_replaced() -> None:
    def script(svi):
        net = Pair().double()
        # No pyro.module: Pyro itself would find another tensor under a known name.
        loose = nn.Linear(2, 6).double()

        def model(x):
            with pyro.plate("data", len(x)):
                z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
                pyro.sample("x", dist.Normal(loose(z), 0.5).to_event(1), obs=x)

        svi = svi(model, net.guide, sgd(), Trace_ELBO())
        yield svi.step(data())
        loose.weight = nn.Parameter(2.0 * loose.weight.detach())
        yield svi.step(data())
        yield svi.step(data())
        yield loose

    both(script)


def test_a_named_parameter_replaced_in_store_and_network() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        net.decoder[0].weight = nn.Parameter(2.0 * net.decoder[0].weight.detach())
        pyro.clear_param_store()
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()

    both(script)


@pytest.mark.parametrize("assign", [False, True])
def test_loaded_weights(assign: bool) -> None:
    def script(svi):
        net, svi = pair(svi, plain=False)
        yield svi.step(data())
        kept = copy.deepcopy(net.state_dict())
        yield svi.step(data())
        if assign:
            pyro.clear_param_store()  # it holds the parameters that the network gives up
        net.load_state_dict(kept, assign=assign)
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()

    svi = both(script)
    assert built(svi) == [int(assign)]


def test_another_network_in_its_place() -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        pyro.clear_param_store()
        net.decoder = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 6)).double()
        yield svi.step(data())
        net.decoder[1] = nn.Softplus()
        yield svi.step(data())
        yield net.state_dict()

    both(script)


def _weights(x):
    weight = pyro.param("weight", lambda: torch.randn(2, 6, dtype=torch.float64))
    scale = pyro.param("scale", torch.tensor(0.5, dtype=torch.float64), dist.constraints.positive)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z @ weight, scale).to_event(1), obs=x)


def _codes(x):
    weight = pyro.param("codes", lambda: torch.randn(6, 2, dtype=torch.float64))
    with pyro.plate("data", len(x)):
        pyro.sample("z", dist.Normal(x @ weight, 0.3).to_event(1))


def test_cleared_store() -> None:
    def script(svi):
        svi = svi(_weights, _codes, sgd(), Trace_ELBO())
        for _ in range(3):
            yield svi.step(data())
            yield svi.step(data())
            pyro.clear_param_store()

    both(script)


def test_one_parameter_of_the_store_replaced() -> None:
    def script(svi):
        svi = svi(_weights, _codes, sgd(), Trace_ELBO())
        yield svi.step(data())
        pyro.get_param_store()["scale"] = torch.tensor(2.0, dtype=torch.float64)
        yield svi.step(data())
        del pyro.get_param_store()["weight"]
        yield svi.step(data())
        yield svi.step(data())

    both(script)


@pytest.mark.parametrize("by", ["state", "file", "scope"])
def test_restored_store(by: str, tmp_path: Path) -> None:
    def script(svi):
        store = pyro.get_param_store()
        svi = svi(_weights, _codes, sgd(), Trace_ELBO())
        yield svi.step(data())
        if by == "file":
            store.save(str(tmp_path / "params.pt"))
        state = copy.deepcopy(store.get_state())
        yield svi.step(data())
        if by == "state":
            store.set_state(state)
        elif by == "file":
            store.load(str(tmp_path / "params.pt"))
        else:
            with store.scope(state):
                yield svi.step(data())
        yield svi.step(data())
        yield svi.step(data())

    both(script)


def test_gradients_that_were_there_before() -> None:
    def script(svi):
        net, svi = pair(svi)
        for _ in range(3):
            for p in net.parameters():
                p.grad = torch.ones_like(p)
            yield svi.step(data())
            yield net.state_dict()

    both(script)


def test_accumulated_gradients() -> None:
    def trained(compile):
        from pyrovae.engine import SVI

        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        net = Pair().double()
        svi = SVI(net.model, net.guide, sgd(), Trace_ELBO(), compile=compile)
        for _ in range(2):
            losses = [svi.backward(data(7)), svi.backward(data(5))]
            summed = [p.grad.clone() for p in net.parameters()]
            svi.update()
        return losses, summed, list(net.parameters())

    def by_hand():
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        net, elbo, losses = Pair().double(), Trace_ELBO(), []
        for _ in range(2):
            losses = [elbo.loss_and_grads(net.model, net.guide, data(size)) for size in (7, 5)]
            summed = [p.grad.clone() for p in net.parameters()]
            with torch.no_grad():
                for p in net.parameters():
                    p -= 1e-3 * p.grad
                    p.grad = None
        return losses, summed, list(net.parameters())

    expected = by_hand()
    for mode in ("capture", False):
        for got, wanted in zip(trained(mode), expected, strict=True):
            for one, other in zip(got, wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
