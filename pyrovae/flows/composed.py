"""Flows one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from pyrovae.errors import explain
from pyrovae.flows.base import Flow, Moved


class Composed(Flow):
    r"""Several flows as one, :math:`y = f_k(\dots f_1(x; c) \dots; c)`.

    Those that take a context are all told the same one.

    Arguments:
        flows: the first is applied first to the base's draws.

    Raises:
        ValueError: for no flow, or flows of different sizes.
        TypeError: for what is no flow.

    Example:
        >>> from pyrovae import flows
        >>> flow = flows.Composed(flows.Planar(4, context=8), flows.RealNVP(4))
        >>> flow.dim, flow.context
        (4, 8)
    """

    def __init__(self, *flows: Flow) -> None:
        for flow in flows:
            if not isinstance(flow, Flow):
                raise TypeError(
                    explain(
                        "Composed",
                        expected="flows",
                        got=type(flow).__name__,
                        remedy="Write Composed(Planar(8), RealNVP(8)).",
                    )
                )
        dims = sorted({flow.dim for flow in flows})
        contexts = sorted({flow.context for flow in flows} - {0})
        if len(dims) != 1 or len(contexts) > 1:
            raise ValueError(
                explain(
                    "Composed",
                    expected="flows of one dim and one context",
                    got=f"dims {dims} and contexts {contexts}",
                    remedy="Build them with the same dim=, and the same context= or none.",
                )
            )
        super().__init__(dims[0], context=contexts[0] if contexts else 0)
        self.flows = flows
        self.parts = nn.ModuleList(flows)

    def push(self, x: Tensor, context: Tensor | None) -> Moved:
        log_det = x.new_zeros(())
        for flow in self.flows:
            x, added = flow.push(x, context if flow.context else None)
            log_det = log_det + added
        return x, log_det

    def pull(self, y: Tensor, context: Tensor | None) -> Moved:
        log_det = y.new_zeros(())
        for flow in reversed(self.flows):
            y, added = flow.pull(y, context if flow.context else None)
            log_det = log_det + added
        return y, log_det
