"""Normalizing flows: invertible transforms of vectors, each with a context that makes it amortized."""

from pyrovae.flows.composed import Composed
from pyrovae.flows.iaf import IAF
from pyrovae.flows.maf import MAF
from pyrovae.flows.planar import Planar
from pyrovae.flows.realnvp import RealNVP
from pyrovae.flows.spline import AutoregressiveSpline, NeuralSpline
from pyrovae.flows.sylvester import Sylvester

__all__ = [
    "IAF",
    "MAF",
    "AutoregressiveSpline",
    "Composed",
    "NeuralSpline",
    "Planar",
    "RealNVP",
    "Sylvester",
]
