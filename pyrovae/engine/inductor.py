"""Inductor: compiles a captured graph. The only file that knows ``torch._inductor``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

from torch import Tensor

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
    import torch
    import torch._inductor  # heavy; only those who compile pay for it
    from torch._inductor import config

    # Reordering for memory would change the order of the draws.
    options = {"fallback_random": exact_noise, "reorder_for_peak_memory": not exact_noise}
    try:
        with torch.no_grad(), config.patch(options), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch._inductor.compile(graph.module, [*graph.free, *tensors])
    except Exception as error:
        logging.getLogger(__name__).debug("Inductor failed", exc_info=error)
        text = str(error).strip().splitlines()
        raise Refusal(
            f"Inductor failed: {type(error).__name__}: {text[0] if text else 'no message'}",
            remedy='compile="capture" runs the graph without it; a C++ compiler (g++) is needed otherwise.',
        ) from error
