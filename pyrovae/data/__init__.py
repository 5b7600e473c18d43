"""Data: by name, from the user's files or as they come; split, transformed, and served in whole batches."""

from pyrovae.data.adapt import DataLike, as_batches
from pyrovae.data.batches import Batches
from pyrovae.data.catalogue import NAMES
from pyrovae.data.lazy import LazyData
from pyrovae.data.loading import Splits, load
from pyrovae.data.memory import Data
from pyrovae.data.transforms import (
    Binarize,
    Chain,
    Dequantize,
    Flatten,
    Pixels,
    Standardize,
    Threshold,
    Transform,
)

__all__ = [
    "NAMES",
    "Batches",
    "Binarize",
    "Chain",
    "Data",
    "DataLike",
    "Dequantize",
    "Flatten",
    "LazyData",
    "Pixels",
    "Splits",
    "Standardize",
    "Threshold",
    "Transform",
    "as_batches",
    "load",
]
