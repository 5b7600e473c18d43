"""Transforms of a batch: what stands between the data as they are kept and the data as a model sees them."""

from pyrovae.data.transforms.base import Chain, Transform, chained
from pyrovae.data.transforms.binarize import Binarize, Threshold
from pyrovae.data.transforms.dequantize import Dequantize
from pyrovae.data.transforms.images import Flatten, Pixels
from pyrovae.data.transforms.standardize import Standardize

__all__ = [
    "Binarize",
    "Chain",
    "Dequantize",
    "Flatten",
    "Pixels",
    "Standardize",
    "Threshold",
    "Transform",
    "chained",
]
