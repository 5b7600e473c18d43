"""The posteriors q(z | x), one idea a file."""

from pyrovae.guides.amortized import Amortized
from pyrovae.guides.experts import MixtureOfExperts, ProductOfExperts
from pyrovae.guides.hamiltonian import Hamiltonian
from pyrovae.guides.ladder import Ladder
from pyrovae.guides.per_datum import PerDatum
from pyrovae.guides.semi_amortized import SemiAmortized

__all__ = [
    "Amortized",
    "Hamiltonian",
    "Ladder",
    "MixtureOfExperts",
    "PerDatum",
    "ProductOfExperts",
    "SemiAmortized",
]
