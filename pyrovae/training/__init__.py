"""Training: ``fit``, what it returns, and how that is saved and loaded.

The folder isn't called ``fit``: a submodule of that name would hide the function ``pyrovae.fit``.
"""

from pyrovae.training.fitted import Fit
from pyrovae.training.folder import load
from pyrovae.training.history import Epoch, History
from pyrovae.training.posthoc import fit_prior
from pyrovae.training.settings import Settings
from pyrovae.training.train import fit

__all__ = ["Epoch", "Fit", "History", "Settings", "fit", "fit_prior", "load"]
