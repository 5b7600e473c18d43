"""The step by NumPyro: ``svi.update`` under ``jax.jit``, networks by stax as in its own VAE example."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax.example_libraries import stax
from numpyro.infer import SVI, RenyiELBO, TraceMeanField_ELBO

from steps.problem import Problem
from steps.workloads import LEARNING_RATE

jax.config.update("jax_platforms", "cpu")


def network(problem: Problem, name: str) -> tuple[Callable, Callable]:
    """A stax network of the torch one's layers; its first weights are the common ones."""
    activation = stax.Tanh if problem.work.particles > 1 else stax.Softplus
    start: list[Any] = []
    layers = []
    numbers = sorted({int(key.split(".")[1]) for key in problem.weights if key.startswith(f"{name}.")})
    for number in numbers:
        weight, bias = (problem.weights[f"{name}.{number}.{part}"] for part in ("weight", "bias"))
        start += [(jnp.asarray(weight.T), jnp.asarray(bias)), ()]
        layers += [stax.Dense(len(bias)), activation]
    _, apply = stax.serial(*layers[:-1])
    return lambda _, shape: (shape, start[:-1]), apply


class Step:
    """The state of NumPyro's SVI, and its jitted update."""

    def __init__(self, problem: Problem) -> None:
        work = problem.work
        encode, decode = (network(problem, name) for name in ("encoder", "decoder"))

        def model(x: jax.Array) -> None:
            decoder = numpyro.module("decoder", decode, (len(x), work.latent))
            with numpyro.plate("data", len(x)):
                z = numpyro.sample("z", dist.Normal(0, 1).expand([work.latent]).to_event(1))
                numpyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

        def guide(x: jax.Array) -> None:
            encoder = numpyro.module("encoder", encode, (len(x), work.inputs))
            with numpyro.plate("data", len(x)):
                loc, log_scale = jnp.split(encoder(x), 2, axis=-1)
                numpyro.sample("z", dist.Normal(loc, jnp.exp(log_scale)).to_event(1))

        several = work.particles > 1
        loss = RenyiELBO(num_particles=work.particles) if several else TraceMeanField_ELBO()
        svi = SVI(model, guide, numpyro.optim.Adam(LEARNING_RATE), loss)
        self.batches = [jnp.asarray(x) for x in problem.batches]
        self.state = svi.init(jax.random.PRNGKey(0), self.batches[0])
        # The old state is given away, so that the new one may take its memory.
        self.update = jax.jit(svi.update, donate_argnums=0)
        self.evaluate = jax.jit(svi.evaluate)

    def step(self, x: jax.Array) -> float:
        self.state, loss = self.update(self.state, x)
        return float(loss)

    def loss(self, x: jax.Array) -> float:
        rest, key = jax.random.split(self.state.rng_key)
        self.state = self.state._replace(rng_key=rest)
        return float(self.evaluate(self.state._replace(rng_key=key), x))


def build(problem: Problem, how: str, device: str) -> Step:  # noqa: ARG001  (all sides are built alike)
    return Step(problem)
