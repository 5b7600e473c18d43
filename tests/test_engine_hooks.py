"""Hooks of parameters and networks, added, removed and exchanged between steps: a graph has what they do."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from alongside import both, data, pair


def _trebled(parameter):
    parameter.grad.mul_(3.0)


@pytest.mark.parametrize("first", [True, False])
def test_hooks_of_parameters(first: bool) -> None:
    def script(svi):
        net, svi = pair(svi)
        if not first:
            yield svi.step(data())
        weight, bias = net.decoder[2].weight, net.encoder[0].bias
        doubling = weight.register_hook(lambda gradient: 2.0 * gradient)
        bias.register_post_accumulate_grad_hook(_trebled)
        yield svi.step(data())
        yield svi.step(data())
        yield net.state_dict()
        doubling.remove()
        yield svi.step(data())
        yield net.state_dict()

    both(script)


@pytest.mark.parametrize("kind", ["forward", "pre", "backward"])
def test_hooks_of_networks(kind: str) -> None:
    def script(svi):
        net, svi = pair(svi)
        yield svi.step(data())
        layer = net.decoder[0]
        if kind == "forward":
            hook = layer.register_forward_hook(lambda layer, inputs, output: 0.5 * output)
        elif kind == "pre":
            hook = layer.register_forward_pre_hook(lambda layer, inputs: (0.5 * inputs[0],))
        else:
            hook = layer.register_full_backward_hook(lambda layer, into, out: (0.5 * into[0],))
        yield svi.step(data())
        yield net.state_dict()
        hook.remove()
        yield svi.step(data())
        yield net.state_dict()

    both(script)


@pytest.mark.parametrize("of", ["parameter", "network"])
def test_one_hook_in_the_place_of_another(of: str) -> None:
    def script(svi):
        net, svi = pair(svi)
        for factor in (2.0, 3.0):
            if of == "parameter":
                hook = net.decoder[2].weight.register_hook(partial(torch.mul, factor))
            else:
                hook = net.decoder[0].register_forward_hook(partial(_scaled, factor))
            yield svi.step(data())
            yield net.state_dict()
            hook.remove()

    both(script)


def _scaled(factor, layer, inputs, output):
    return factor * output
