"""The posteriors q(z | x), one idea a file."""

from pyrovae.guides.amortized import Amortized
from pyrovae.guides.per_datum import PerDatum
from pyrovae.guides.semi_amortized import SemiAmortized

__all__ = ["Amortized", "PerDatum", "SemiAmortized"]
