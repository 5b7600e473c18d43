"""Grids of images: what is drawn is what was given."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from figures import X, drawn, title, words

from pyrovae import plots
from pyrovae.plots._grid import NOT_A_NUMBER, columns_for


def test_samples_are_the_data_in_reading_order() -> None:
    ax = plots.samples(X[:6], columns=3, title="Six").axes[0]
    assert len(ax.images) == 6
    for image, datum in zip(ax.images, X, strict=False):
        np.testing.assert_array_equal(image.get_array(), datum.reshape(8, 8))
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in ax.images]
    assert corners == sorted(corners, key=lambda corner: (corner[1], corner[0]))
    assert [round(left, 2) for left, _ in corners] == [0.0, 8.56, 17.12] * 2
    assert title(ax) == "Six"


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (X[:4], None),
        (X[:4].reshape(4, 8, 8), None),
        (X[:4].reshape(4, 1, 8, 8), None),
        (X[:4], (8, 8)),
        (X[:4], (1, 8, 8)),
        (X[:4].numpy(), [8, 8]),
        (X[:4].tolist(), None),
        (X[:4].clone().requires_grad_(), None),
        (X[:4].double(), None),
    ],
)
def test_every_layout_of_gray_images_is_read_alike(x: Any, shape: Any) -> None:
    images = plots.samples(x, shape=shape).axes[0].images
    shown = np.stack([image.get_array() for image in images])
    np.testing.assert_allclose(shown, X[:4].reshape(4, 8, 8), rtol=1e-6)


def test_other_shapes_are_said_in_words() -> None:
    assert plots.samples(X[:2], shape=(4, 16)).axes[0].images[0].get_array().shape == (4, 16)
    with pytest.raises(
        ValueError, match=r"x: expected .*perfect square, got vectors of length 63.*shape=\(9, 7\)"
    ):
        plots.samples(X[:, :63])
    with pytest.raises(ValueError, match=r"shape=\(3, 4, 4\)"):
        plots.samples(X[:, :48])


def test_colours_are_channels_first_and_half_floats_are_read() -> None:
    rgb = X[:9].reshape(3, 3, 8, 8)
    images = plots.samples(rgb).axes[0].images
    for image, datum in zip(images, rgb, strict=True):
        np.testing.assert_allclose(image.get_array(), datum.permute(1, 2, 0))
    flat = plots.samples(rgb.flatten(1), shape=(3, 8, 8)).axes[0].images
    np.testing.assert_allclose(flat[1].get_array(), images[1].get_array())
    half = plots.samples(X[:2].bfloat16()).axes[0].images[0].get_array()
    np.testing.assert_allclose(half, X[0].reshape(8, 8), atol=4e-3)


@pytest.mark.parametrize(
    ("x", "span"),
    [
        (X[:9], (0, 1)),
        (X[:9] * 0.3, (0, 1)),
        ((X[:9] > 0.5), (0, 1)),
        ((X[:9] * 200).to(torch.uint8), (0, 255)),
        (X[:9] * 16, (0, 16)),
        (X[:9] * 4 - 2, (-2, 2)),
        (torch.full((2, 64), 7.0), (7, 8)),
    ],
)
def test_the_scale_of_gray_is_the_documented_one(x: torch.Tensor, span: tuple[float, float]) -> None:
    assert {image.get_clim() for image in plots.samples(x).axes[0].images} == {span}


def test_colours_beyond_the_unit_interval_are_rescaled_not_clipped() -> None:
    shown = plots.samples(X[:3].reshape(1, 3, 8, 8) * 16).axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, X[:3].reshape(3, 8, 8).permute(1, 2, 0), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixel_that_is_no_number_is_red(channels: int) -> None:
    x = X[:channels].reshape(1, channels, 8, 8).clone()
    x[0, 0, 2, 3] = math.nan
    image = plots.samples(x).axes[0].images[0]
    rgba = image.to_rgba(image.get_array())
    np.testing.assert_allclose(rgba[2, 3, :3], NOT_A_NUMBER)
    np.testing.assert_allclose(rgba[2, 4, :3], x[0, :, 2, 4].expand(3), atol=1 / 255)


@pytest.mark.parametrize("count", range(1, 130))
def test_a_grid_is_wider_than_tall_and_has_at_most_one_broken_row(count: int) -> None:
    columns = columns_for(count)
    rows = -(-count // columns)
    assert rows <= columns <= count
    assert (rows - 1) * columns < count


def test_reconstructions_lie_below_their_originals() -> None:
    ax = plots.reconstructions(X[:30], X[30:60].reshape(30, 1, 8, 8)).axes[0]
    assert len(ax.images) == 60
    for i in range(30):
        above, below = ax.images[i], ax.images[30 + i]
        np.testing.assert_array_equal(above.get_array(), X[i].reshape(8, 8))
        np.testing.assert_array_equal(below.get_array(), X[30 + i].reshape(8, 8))
        assert above.get_extent()[:2] == below.get_extent()[:2]
        # y grows downwards: the reconstruction begins right below its original's end
        assert 0 < below.get_extent()[3] - above.get_extent()[2] < 1
    assert words(ax.get_yticklabels()) == ["original", "reconstruction"] * 3
    assert len({image.get_extent()[0] for image in ax.images}) == 10


def test_reconstructions_share_the_scale_of_gray() -> None:
    images = plots.reconstructions(X[:5], X[:5] * 3 - 1).axes[0].images
    assert {image.get_clim() for image in images} == {(-1.0, 2.0)}


def test_the_manifold_is_one_seamless_picture_in_latent_coordinates() -> None:
    grid = X[:30].reshape(5, 6, 8, 8)
    ax = plots.manifold(grid, extent=(-3, 2, -2, 2)).axes[0]
    (image,) = ax.images
    mosaic = np.asarray(image.get_array())
    assert mosaic.shape == (40, 48)
    for row, column in itertools.product(range(5), range(6)):
        tile = mosaic[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        np.testing.assert_array_equal(tile, grid[row, column])
    assert image.get_extent() == [
        -3.5,
        2.5,
        -2.5,
        2.5,
    ]  # the centres of the outermost tiles are what extent says
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[0]", "z[1]")
    drawn(ax.figure)
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx(48 / 40, rel=0.01)  # its pixels are square


def test_the_manifold_without_extent_has_no_axes_labels() -> None:
    ax = plots.manifold(X[:4].reshape(2, 2, 64)).axes[0]
    assert (ax.get_xlabel(), list(ax.get_xticks()), list(ax.get_yticks())) == ("", [], [])


def test_the_manifold_of_an_uneven_grid_names_its_columns_and_rows() -> None:
    quantiles = torch.special.ndtri((torch.arange(20) + 0.5) / 20)
    grid = X[:400].reshape(20, 20, 4, 16)
    ax = plots.manifold(grid, values=(quantiles, quantiles.flip(0))).axes[0]
    across, down = words(ax.get_xticklabels()), words(ax.get_yticklabels())
    assert across == down[::-1]
    assert across[0] == "−1.96"
    assert across[-1] == "1.96"
    named = [float(word.replace("−", "-")) for word in across]
    np.testing.assert_allclose(named, quantiles[(ax.get_xticks() - 0.5).astype(int)], atol=5.01e-3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("z[0]", "z[1]")
    drawn(ax.figure)
    box = ax.get_window_extent()
    assert box.width / box.height == pytest.approx(4, rel=0.01)


def test_interpolations_go_from_left_to_right() -> None:
    paths = X[:22].reshape(2, 11, 64)
    ax = plots.interpolation(paths).axes[0]
    assert len(ax.images) == 22
    np.testing.assert_array_equal(ax.images[13].get_array(), paths[1, 2].reshape(8, 8))
    assert ax.images[12].get_extent()[0] > ax.images[11].get_extent()[0]
    assert words(ax.get_xticklabels()) == ["t = 0", "0.5", "1"]
    assert words(plots.interpolation(X[:4][None]).axes[0].get_xticklabels()) == ["t = 0", "1"]
    assert words(plots.interpolation(X[:1][None]).axes[0].get_xticklabels()) == []


def test_traversals_name_their_rows_and_steps() -> None:
    stack = X[:15].reshape(3, 5, 64)
    ax = plots.traversals(stack, values=torch.linspace(-2, 2, 5) + 1e-8, dims=torch.tensor([4, 0, 9])).axes[0]
    np.testing.assert_array_equal(ax.images[6].get_array(), stack[1, 1].reshape(8, 8))
    assert words(ax.get_yticklabels()) == ["z[4]", "z[0]", "z[9]"]
    assert words(ax.get_xticklabels()) == ["−2", "−1", "0", "1", "2"]
    assert words(plots.traversals(stack).axes[0].get_yticklabels()) == ["z[0]", "z[1]", "z[2]"]
    many = plots.traversals(X[:50].reshape(1, 50, 64), values=np.arange(50)).axes[0]
    assert words(many.get_xticklabels()) == [str(value) for value in range(0, 50, 5)]
