"""Deep latent-variable models as Pyro programs: write a model, swap a guide, run SVI.

Everything below is imported on first use, so that ``pyrovae --help`` need not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyrovae import (
        data,
        distributions,
        engine,
        evaluate,
        export,
        flows,
        guides,
        heads,
        kernels,
        models,
        nets,
        objectives,
        plots,
        predict,
        priors,
    )
    from pyrovae.engine import SVI
    from pyrovae.training import Fit, fit, fit_prior, load

__version__ = "0.1.0"

_MODULES = (
    "data",
    "distributions",
    "engine",
    "evaluate",
    "export",
    "flows",
    "guides",
    "heads",
    "kernels",
    "models",
    "nets",
    "objectives",
    "plots",
    "predict",
    "priors",
)
_TRAINING = ("Fit", "fit", "fit_prior", "load")

__all__ = [
    "SVI",
    "Fit",
    "data",
    "distributions",
    "engine",
    "evaluate",
    "export",
    "fit",
    "fit_prior",
    "flows",
    "guides",
    "heads",
    "kernels",
    "load",
    "models",
    "nets",
    "objectives",
    "plots",
    "predict",
    "priors",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"pyrovae.{name}")
    if name == "SVI":
        return importlib.import_module("pyrovae.engine").SVI
    if name in _TRAINING:
        return getattr(importlib.import_module("pyrovae.training"), name)
    raise AttributeError(f"module 'pyrovae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
