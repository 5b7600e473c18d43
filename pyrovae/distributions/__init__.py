"""Distributions on the sphere, and closed forms of divergences, which an import registers with torch."""

from pyrovae.distributions.divergences import divergence, has_closed_form, per_dimension
from pyrovae.distributions.sphere import SphericalUniform
from pyrovae.distributions.von_mises_fisher import VonMisesFisher

__all__ = ["SphericalUniform", "VonMisesFisher", "divergence", "has_closed_form", "per_dimension"]
