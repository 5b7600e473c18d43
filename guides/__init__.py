"""The posteriors q(z | x), one idea a file."""

from pyrovae.guides.amortized import Amortized

__all__ = ["Amortized"]
