"""The generative programs p(x, z), one idea a file."""

from pyrovae.models.vae import VAE

__all__ = ["VAE"]
