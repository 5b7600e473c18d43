"""Inductor: compiles a captured graph. The only file that knows ``torch._inductor``."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from pyrovae.engine.capture import Graph
from pyrovae.engine.refusal import Refusal

Run = Callable[..., Any]
"""What runs a graph: takes its free tensors and its arguments, returns its results."""


def compiled(graph: Graph, tensors: list[Tensor], *, exact_noise: bool = True) -> Run:
    """Compiles a graph for tensors of these shapes, types and devices.

    Arguments:
        graph: what was captured.
        tensors: its arguments, of which only shapes, types and devices matter.
        exact_noise: draw from torch's generators in eager's order, so that a compiled run is the eager run to
            rounding; otherwise Inductor's own, faster noise, seeded by torch's generator too.

    Raises:
        Refusal: when there is no compiler, or Inductor fails.
    """
    import torch._inductor  # heavy; only those who compile pay for it
    from torch._inductor import config

    module = graph.module
    if exact_noise:
        module = copy.deepcopy(module)
        _keep_double_draws(module)
    # Reordering for memory would change the order of the draws.
    options = {"fallback_random": exact_noise, "reorder_for_peak_memory": not exact_noise}
    try:
        with torch.no_grad(), config.patch(options), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch._inductor.compile(module, [*graph.free, *tensors])
    except Exception as error:
        logging.getLogger(__name__).debug("Inductor failed", exc_info=error)
        text = str(error).strip().splitlines()
        raise Refusal(
            f"Inductor failed: {type(error).__name__}: {text[0] if text else 'no message'}",
            remedy='compile="capture" runs the graph without it; a C++ compiler (g++) is needed otherwise.',
        ) from error


def _keep_double_draws(module: GraphModule) -> None:
    """Writes a Bernoulli draw in float64 as eager torch does it; Inductor would draw float32 numbers."""
    aten = torch.ops.aten
    for node in list(module.graph.nodes):
        value = node.meta.get("val")
        if node.target is not aten.bernoulli.default or value.dtype is not torch.float64:
            continue
        with module.graph.inserting_before(node):
            options = {"dtype": torch.float64, "device": value.device}
            uniform = module.graph.call_function(aten.rand.default, (list(value.shape),), options)
            below = module.graph.call_function(aten.lt.Tensor, (uniform, node.args[0]))
            drawn = module.graph.call_function(aten._to_copy.default, (below,), {"dtype": torch.float64})
        node.replace_all_uses_with(drawn)
        module.graph.erase_node(node)
    module.recompile()
