"""The engine: captures loss and gradients of a pair of Pyro programs once, then runs the graph."""

from pyrovae.engine.refusal import Refusal
from pyrovae.engine.svi import SVI

__all__ = ["SVI", "Refusal"]
