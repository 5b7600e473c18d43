"""Kernels: modules from differences of time to covariances, for Gaussian process priors."""

from pyrovae.kernels.combined import Product, Sum
from pyrovae.kernels.matern import Matern32, OrnsteinUhlenbeck
from pyrovae.kernels.periodic import Periodic
from pyrovae.kernels.squared_exponential import SquaredExponential

__all__ = ["Matern32", "OrnsteinUhlenbeck", "Periodic", "Product", "SquaredExponential", "Sum"]
