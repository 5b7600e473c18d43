"""Heads: a network's output becomes a distribution, a likelihood as well as a posterior."""

from pyrovae.heads.bernoulli import Bernoulli
from pyrovae.heads.committed import CommittedNormal
from pyrovae.heads.normal import IsotropicNormal, Normal

normal = Normal()
bernoulli = Bernoulli()

__all__ = ["Bernoulli", "CommittedNormal", "IsotropicNormal", "Normal", "bernoulli", "normal"]
