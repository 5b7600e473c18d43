"""The generative programs p(x, z), one idea a file."""

from pyrovae.models.ladder import Ladder
from pyrovae.models.vae import VAE
from pyrovae.models.views import Views

__all__ = ["VAE", "Ladder", "Views"]
