"""What a fitted pair says of data: encode, decode, reconstruct, generate, walk through latent space."""

from pyrovae.predict.decoding import decode, likelihood, reconstruct
from pyrovae.predict.encoding import Encoding, embed, encode
from pyrovae.predict.generation import posterior_predictive, sample
from pyrovae.predict.paths import linear, spherical
from pyrovae.predict.plane import Manifold, manifold
from pyrovae.predict.walks import interpolate, traverse

__all__ = [
    "Encoding",
    "Manifold",
    "decode",
    "embed",
    "encode",
    "interpolate",
    "likelihood",
    "linear",
    "manifold",
    "posterior_predictive",
    "reconstruct",
    "sample",
    "spherical",
    "traverse",
]
