"""Pictures of data, latent spaces and training: matplotlib figures, returned and never shown.

Every function takes numbers (tensors, arrays, rows) and none runs a model; pyplot isn't used, so there is
nothing to close and no backend to choose. ``figure.savefig("picture.png")`` writes a figure,
and a notebook shows it.
"""

from pyrovae.plots._data import reconstructions, samples
from pyrovae.plots._kl import kl_per_dimension
from pyrovae.plots._latent import interpolation, manifold, traversals
from pyrovae.plots._scatter import latent_scatter
from pyrovae.plots._training import training_curves

__all__ = [
    "interpolation",
    "kl_per_dimension",
    "latent_scatter",
    "manifold",
    "reconstructions",
    "samples",
    "training_curves",
    "traversals",
]
