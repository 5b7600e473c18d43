"""Priors: callables without arguments that return the distribution of a latent."""

from pyrovae.priors.normal import DiagonalNormal, StandardNormal

__all__ = ["DiagonalNormal", "StandardNormal"]
