"""Bad input to plots is named, with its remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
from figures import X, Y
from matplotlib.figure import Figure

from pyrovae import plots

NAN = torch.full((3, 64), math.nan)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.samples(X[:0]), ValueError, "x: expected at least one value, got an empty array"),
        (lambda: plots.samples(X[0]), ValueError, r"x: expected shape \(n, d\).*got \(64,\).*x\[None\]"),
        (lambda: plots.samples(X[:4].reshape(1, 1, 4, 8, 8)), ValueError, "x: expected shape"),
        (lambda: plots.samples(NAN), ValueError, "x: expected images with at least one finite pixel"),
        (
            lambda: plots.samples(torch.zeros(3000, 4)),
            ValueError,
            "x: expected at most 2500 images, got 3000",
        ),
        (
            lambda: plots.samples(X[:2], shape=(8, 9)),
            ValueError,
            r"shape: expected .* 64 pixels.*got \(8, 9\)",
        ),
        (lambda: plots.samples(X[:2], shape=(-8, -8)), ValueError, "shape: expected"),
        (
            lambda: plots.samples(X[:2], shape=(2, 4, 8)),
            ValueError,
            "shape: expected images of 1 or 3 channels",
        ),
        (lambda: plots.samples(X[:3].reshape(1, 8, 8, 3)), ValueError, "Channels are last"),
        (lambda: plots.samples(X[:2].reshape(1, 2, 8, 8)), ValueError, "got 2 channels"),
        (lambda: plots.samples(X[:2], columns=0), ValueError, "columns: expected a positive integer, got 0"),
        (lambda: plots.samples([[1.0], [1.0, 2.0]]), ValueError, "x: expected an array"),
        (lambda: plots.samples([["a"]]), TypeError, "x: expected real numbers"),
        (lambda: plots.samples(X[:2] + 1j), TypeError, "x: expected real numbers.*complex64"),
        (lambda: plots.reconstructions(X[:5], X[:4]), ValueError, "x_hat: expected 5 images.*got 4"),
        (lambda: plots.reconstructions(X[:5], X[:5, :36]), ValueError, r"x_hat: .*\(8, 8, 1\).*\(6, 6, 1\)"),
        (
            lambda: plots.reconstructions(X[:3], NAN),
            ValueError,
            "x_hat: expected images with at least one finite",
        ),
        (lambda: plots.manifold(X[:9]), ValueError, r"grid_images: expected shape \(rows, columns, d\)"),
        (
            lambda: plots.manifold(X[:9].reshape(3, 3, 64), extent=(1, 1, 0, 2)),
            ValueError,
            "extent: expected",
        ),
        (lambda: plots.manifold(X[:9].reshape(3, 3, 64), extent=(1, 2)), ValueError, "extent: expected"),
        (
            lambda: plots.manifold(X[:9].reshape(1, 9, 64), extent=(0, 1, 0, 1)),
            ValueError,
            "1 rows and 9 columns",
        ),
        (
            lambda: plots.manifold(X[:6].reshape(2, 3, 64), values=([1, 2], [1, 2])),
            ValueError,
            "values: expected 3 numbers, one for each of the columns",
        ),
        (
            lambda: plots.manifold(X[:4].reshape(2, 2, 64), values=([1, 2], [1, 2]), extent=(0, 1, 0, 1)),
            ValueError,
            "values: expected .* no extent",
        ),
        (lambda: plots.interpolation(X[:9]), ValueError, "paths: expected shape"),
        (lambda: plots.traversals(X[:6].reshape(2, 3, 64), dims=[1]), ValueError, "dims: expected 2 numbers"),
        (
            lambda: plots.traversals(X[:6].reshape(2, 3, 64), values=[1]),
            ValueError,
            "values: expected 3 numbers",
        ),
        (lambda: plots.latent_scatter(X[:, 0]), ValueError, r"z: expected shape \(n, d\)"),
        (lambda: plots.latent_scatter(X[:, :1]), ValueError, "z: expected shape.*histogram"),
        (
            lambda: plots.latent_scatter(NAN),
            ValueError,
            "z: expected finite numbers, got NaN or infinity in 192",
        ),
        (lambda: plots.latent_scatter(X[:2]), ValueError, "z: expected at least 3 rows"),
        (
            lambda: plots.latent_scatter(torch.ones(5, 3)),
            ValueError,
            "z: expected at least 3 rows that differ",
        ),
        (lambda: plots.latent_scatter(X, Y[:5]), ValueError, r"y: expected shape \(1797,\).*got \(5,\)"),
        (
            lambda: plots.latent_scatter(X[:30], [str(i) for i in range(30)]),
            ValueError,
            "at most 20 named classes",
        ),
        (lambda: plots.latent_scatter(X[:3], [0, math.nan, 1]), ValueError, "y: expected finite numbers"),
        (lambda: plots.training_curves([]), ValueError, "history: expected at least one epoch"),
        (
            lambda: plots.training_curves([{"epoch": 1}]),
            ValueError,
            "history: expected 'train_loss' in every row",
        ),
        (
            lambda: plots.training_curves([{"epoch": 1, "train_loss": math.nan}]),
            ValueError,
            "history: expected .*finite",
        ),
        (lambda: plots.training_curves(3), TypeError, "history: expected rows"),  # type: ignore[arg-type]
        (lambda: plots.training_curves([3]), TypeError, "history: expected rows"),  # type: ignore[list-item]
        (lambda: plots.kl_per_dimension([]), ValueError, "kl: expected at least one value"),
        (lambda: plots.kl_per_dimension(X[None]), ValueError, r"kl: expected shape \(n, d\) or \(d,\)"),
        (
            lambda: plots.kl_per_dimension([1.0, math.inf]),
            ValueError,
            "kl: expected finite numbers.*in 1 of 2",
        ),
    ],
)
def test_bad_input_is_named_with_its_remedy(
    call: Callable[[], Figure], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert re.search(r"expected .+, got .+\. .+\.$", str(caught.value), re.DOTALL)
