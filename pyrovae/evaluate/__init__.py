"""How good a fitted pair is: the bound and its parts, the evidence, bits per dimension. Nats per datum."""

from pyrovae.evaluate._estimate import Estimate
from pyrovae.evaluate.bits import bits_per_dim
from pyrovae.evaluate.bound import Bound, elbo
from pyrovae.evaluate.importance import Evidence, evidence, log_evidence, log_weights

__all__ = [
    "Bound",
    "Estimate",
    "Evidence",
    "bits_per_dim",
    "elbo",
    "evidence",
    "log_evidence",
    "log_weights",
]
