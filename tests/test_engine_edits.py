"""Code that is edited between steps, as in a notebook: other functions, methods, defaults, programs."""

from __future__ import annotations

import types

import pytest
from alongside import Pair, both, built, data, generate, infer, sgd
from pyro.infer import Trace_ELBO
from torch import nn


def narrow(x):
    generate(x, 0.5)


def test_a_function_inside_changes() -> None:
    def script(svi):
        def bounded(x):
            return x.tanh()

        def unbounded(x):
            return x.exp()

        activation = bounded

        def model(x):
            generate(x, 0.5, activation(x.mean()))

        svi = svi(model, infer, sgd(), Trace_ELBO())
        yield svi.step(data())
        activation = unbounded
        yield svi.step(data())

    both(script)


@pytest.mark.parametrize("deep", [False, True])
def test_code_edited_in_place(deep: bool) -> None:
    """What a notebook's autoreload does."""

    def script(svi):
        def width():
            return 0.5

        def other():
            return 0.9

        def model(x):
            generate(x, width())

        def edited(x):
            generate(x, 2.0 * width())

        svi = svi(model, infer, sgd(), Trace_ELBO())
        yield svi.step(data())
        if deep:
            width.__code__ = other.__code__
        else:
            model.__code__ = edited.__code__
        yield svi.step(data())
        yield svi.step(data())

    assert built(both(script)) == [1]


def test_a_method_edited_in_its_class() -> None:
    class Mine(Pair):
        def model(self, x):
            generate(x, self.width())

        def width(self):
            return 0.5

    def script(svi):
        Mine.width = lambda self: 0.5
        net = Mine().double()
        svi = svi(net.model, net.guide, sgd(), Trace_ELBO())
        yield svi.step(data())
        Mine.width = lambda self: 0.9
        yield svi.step(data())
        net.width = types.MethodType(lambda self: 0.2, net)
        yield svi.step(data())

    both(script)


def test_defaults_of_a_function() -> None:
    def script(svi):
        def model(x, width=0.5, *, shift=0.0):
            generate(x, width, shift)

        svi = svi(model, infer, sgd(), Trace_ELBO())
        yield svi.step(data())
        model.__defaults__ = (0.9,)
        yield svi.step(data())
        model.__kwdefaults__ = {"shift": 1.0}
        yield svi.step(data())

    both(script)


def test_other_programs_and_objectives_in_one_svi() -> None:
    def script(svi):
        elbo = Trace_ELBO()
        svi = svi(narrow, infer, sgd(), elbo)
        yield svi.step(data())
        elbo.num_particles = 3
        yield svi.step(data())
        yield svi.evaluate_loss(data())
        elbo.num_particles = 1
        yield svi.step(data())
        svi.model = lambda x: narrow(2.0 * x)
        yield svi.step(data())
        svi.guide = lambda x: infer(0.5 * x)
        yield svi.step(data())

    both(script)


def test_a_class_attribute_changes() -> None:
    class Wide(nn.Module):
        wide = True

        def forward(self, x):
            return x if self.wide else x.tanh()

    def script(svi):
        layer = Wide()

        def model(x):
            generate(x, 0.5, layer(x.mean()))

        svi = svi(model, infer, sgd(), Trace_ELBO())
        for wide in (True, False, True):
            Wide.wide = wide
            yield svi.step(data())

    both(script)
