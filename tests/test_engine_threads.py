"""Several pairs in one process: in two threads at once, and one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from alongside import Pair, both, data, sgd
from pyro.infer import Trace_ELBO
from torch import nn

from pyrovae.engine import SVI


def _by_hand(steps: int) -> list[float]:
    """Trains a small autoencoder without Pyro, whose handlers know no threads."""
    torch_net, x = Pair().double(), data()
    with torch.no_grad():
        for i, p in enumerate(torch_net.parameters()):
            p.copy_(torch.linspace(-0.5, 0.5 + 0.1 * i, p.numel(), dtype=p.dtype).reshape(p.shape))
    optimiser, losses = torch.optim.SGD(torch_net.parameters(), lr=1e-3), []
    for _ in range(steps):
        loss = (torch_net.decoder(torch_net.encoder(x)[:, :2]) - x).square().sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def _points(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """A pair that draws nothing: torch has one generator for all threads."""

    def model(x):
        loc = pyro.sample("loc", dist.Normal(x.new_zeros(6), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc.tanh(), 1.0).to_event(1), obs=x)

    def guide(x):
        start = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64)
        pyro.sample("loc", dist.Delta(pyro.param(name, start)).to_event(1))

    return model, guide


def _at_once(*tasks: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(tasks)
    ready = threading.Barrier(len(tasks))

    def run(i, task):
        ready.wait()
        results[i] = task()

    threads = [threading.Thread(target=run, args=(i, task)) for i, task in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_threads() -> None:
    """A captured pair, from its capture on, beside a training without Pyro in another thread."""

    def captured(name):
        svi = SVI(*_points(name), pyro.optim.SGD({"lr": 0.1}), Trace_ELBO(), compile="capture")
        return [svi.step(data()) for _ in range(150)]

    alone = captured("alone"), _by_hand(300)
    assert _at_once(lambda: captured("together"), lambda: _by_hand(300)) == [*alone]


def test_two_captured_pairs_in_two_threads() -> None:
    def made(name):
        svi = SVI(*_points(name), pyro.optim.SGD({"lr": 0.1}), Trace_ELBO(), compile="capture")
        return svi, [svi.step(data()) for _ in range(100)]

    def more(svi):
        return [svi.step(data()) for _ in range(200)]  # no milestone is among them: those run Pyro

    (one, _), (two, _), (alone, _) = made("one"), made("two"), made("alone")
    expected = more(alone)
    assert _at_once(lambda: more(one), lambda: more(two)) == [expected, expected]


def test_networks_of_other_threads_are_none_of_ours() -> None:
    class Counted(nn.Module):
        count = 0.0

        def forward(self, x):
            self.count += 1.0
            return x

    asked, answered = SimpleQueue(), SimpleQueue()

    def serve():
        other = Counted()
        for x in iter(asked.get, None):
            answered.put(other(x))

    model, guide = _points("start")

    def busy(x):
        asked.put(torch.zeros(2))
        answered.get()
        model(x)

    server = threading.Thread(target=serve)
    server.start()
    svi = SVI(busy, guide, sgd(), Trace_ELBO(), compile="capture")
    for _ in range(4):
        svi.step(data())
        asked.put(torch.zeros(2))
        answered.get()
    asked.put(None)
    server.join()
    assert [entry.rebuilt for entry in svi._steps.entries.values()] == [[]]


def test_one_pair_after_the_other_with_equal_names() -> None:
    def script(svi):
        for shift in (0.0, 1.0):
            with pyro.get_param_store().scope():
                svis = [svi(*_points("start"), sgd(), Trace_ELBO()) for _ in range(2)]
                for _ in range(3):
                    yield svis[0].step(data() + shift)
                    yield svis[1].step(data() + shift)
                yield pyro.param("start")

    both(script)
