"""Figures show the numbers they were given, say what they show, and leave pyplot alone."""

from __future__ import annotations

import io
import itertools
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

from pyrovae import plots
from pyrovae.plots._grid import NOT_A_NUMBER, columns_for
from pyrovae.plots._style import PALETTE, WIDTH

DIGITS = load_digits()
X = torch.tensor(DIGITS.data / 16, dtype=torch.float32)
Y = torch.tensor(DIGITS.target)
ROWS = [
    {
        "epoch": e,
        "train_loss": 60.0 + 30.0 / e,
        "validation_loss": 64.0 + abs(e - 6),
        "kl_weight": min(1.0, e / 4),
    }
    for e in range(1, 11)
]


def words(texts: Any) -> list[str]:
    return [text.get_text() for text in texts]


def title(ax: Axes) -> str:
    return ax.get_title(loc="left")


def drawn(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    return buffer.getvalue()


FIGURES: dict[str, Callable[..., Figure]] = {
    "samples": lambda **o: plots.samples(X[:20], **o),
    "reconstructions": lambda **o: plots.reconstructions(X[:30], X[30:60], **o),
    "manifold": lambda **o: plots.manifold(X[:30].reshape(5, 6, 64), extent=(-2, 2, -3, 3), **o),
    "interpolation": lambda **o: plots.interpolation(X[:33].reshape(3, 11, 64), **o),
    "traversals": lambda **o: plots.traversals(X[:10].reshape(2, 5, 64), values=range(-2, 3), **o),
    "latent_scatter": lambda **o: plots.latent_scatter(X[:300], Y[:300], **o),
    "training_curves": lambda **o: plots.training_curves(ROWS, **o),
    "kl_per_dimension": lambda **o: plots.kl_per_dimension(X.var(0), **o),
}


# What holds for every figure


def test_every_public_function_is_here() -> None:
    assert sorted(FIGURES) == plots.__all__


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_saved_whole_and_fit_a_readme(name: str) -> None:
    figure = FIGURES[name](title="A title")
    assert isinstance(figure, Figure)
    assert drawn(figure).startswith(b"\x89PNG")
    assert figure.get_size_inches()[0] <= WIDTH + 1e-6
    inside = figure.get_tightbbox(figure.canvas.get_renderer())  # nothing is cut off, in inches
    width, height = figure.get_size_inches()
    assert inside.x0 > -0.01
    assert inside.y0 > -0.01
    assert inside.x1 < width + 0.01
    assert inside.y1 < height + 0.01
    assert title(figure.axes[0]).startswith("A title")


@pytest.mark.parametrize("name", FIGURES)
def test_figures_draw_into_given_axes(name: str) -> None:
    figure = Figure(figsize=(8, 4), layout="constrained")
    part = figure.subfigures(1, 2)[0]
    ax = part.add_subplot()
    assert FIGURES[name](ax=ax) is figure
    assert figure.axes[0] is ax
    assert ax.has_data()
    assert tuple(figure.get_size_inches()) == (8, 4)
    drawn(figure)


@pytest.mark.parametrize("name", FIGURES)
def test_a_notebook_shows_a_figure_at_half_its_pixels(name: str) -> None:
    figure = FIGURES[name]()
    data, size = figure._repr_png_()  # type: ignore[attr-defined]
    pixels = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]  # of the PNG's header
    assert pixels == pytest.approx([2 * size["width"], 2 * size["height"]], abs=2)


def test_the_backend_the_settings_and_pyplot_stay_untouched() -> None:
    code = (
        "import sys, io, matplotlib, torch\n"
        "matplotlib.use('pdf', force=False)\n"
        "before = dict(matplotlib.rcParams)\n"
        "from pyrovae import plots\n"
        "for figure in (plots.samples(torch.rand(8, 64)),\n"
        "               plots.latent_scatter(torch.rand(30, 3), range(30)),\n"
        "               plots.kl_per_dimension(torch.rand(5)), plots.manifold(torch.rand(3, 3, 16))):\n"
        "    figure.savefig(io.BytesIO(), format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.get_backend() == 'pdf'\n"
        "assert dict(matplotlib.rcParams) == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pyplot_has_no_figure_to_close() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    for make in FIGURES.values():
        make()
    assert pyplot.get_fignums() == before


def test_the_page_in_docs_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[1] / "docs" / "plots.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "both.png",
        "digits.png",
        "principal-components.png",
    ]
    assert all(f"`{name}(" in page for name in plots.__all__)


# Images


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


# Latent space


def points(figure: Figure) -> np.ndarray:
    return np.concatenate([np.asarray(c.get_offsets()) for c in figure.axes[0].collections])


def test_two_dimensions_are_shown_as_they_are() -> None:
    z = X[:, 20:22].numpy()
    figure = plots.latent_scatter(z)
    shown = points(figure)
    np.testing.assert_allclose(shown[np.lexsort(shown.T)], z[np.lexsort(z.T)])
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == ("z[0]", "z[1]")
    assert figure.axes[0].get_legend() is None


def test_more_dimensions_are_shown_by_principal_components() -> None:
    from sklearn.decomposition import PCA

    figure = plots.latent_scatter(X, Y)
    pca = PCA(2, svd_solver="full").fit(X.double().numpy())
    shown = points(figure)
    np.testing.assert_allclose(shown.var(0, ddof=1), pca.explained_variance_, rtol=1e-6)
    wanted = [
        f"PC {k + 1} ({share:.0%} of variance)" for k, share in enumerate(pca.explained_variance_ratio_)
    ]
    assert [figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()] == wanted
    np.testing.assert_allclose(points(plots.latent_scatter(X, Y)), shown)  # signs and order are fixed


@pytest.mark.parametrize("kind", ["int", "float", "string", "bool"])
def test_each_point_has_its_class_colour_and_the_legend_says_which(kind: str) -> None:
    z = X[:, 20:22].numpy() + 2 * np.arange(len(X))[:, None]  # every point is somewhere else
    y: Any = {
        "int": Y,
        "float": Y.double(),
        "string": [f"digit {label}" for label in Y],
        "bool": Y > 4,
    }[kind]
    figure = plots.latent_scatter(z, y, label_name="class")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "class"
    names = (
        ["0", "1"]
        if kind == "bool"
        else sorted({str(label) for label in y} if kind == "string" else map(str, range(10)))
    )
    assert words(legend.get_texts()) == names
    colour_of = {str(handle.get_label()): to_rgb(handle.get_color()) for handle in legend.legend_handles}
    (cloud,) = figure.axes[0].collections
    back = np.argsort(np.asarray(cloud.get_offsets())[:, 0])
    shown = cloud.get_facecolors()[back][:, :3]
    order = np.argsort(z[:, 0])
    wanted = [colour_of[y[i] if kind == "string" else f"{float(y[i]):g}"] for i in order]
    np.testing.assert_allclose(shown, wanted)


def test_twenty_classes_are_ten_colours_and_two_markers() -> None:
    figure = plots.latent_scatter(X[:, 20:22], Y + 10 * (X.mean(1) > X.mean()))
    handles = figure.axes[0].get_legend().legend_handles
    looks = {(handle.get_color(), handle.get_marker()) for handle in handles}
    assert len(handles) == len(looks) == 20
    assert sum(len(c.get_offsets()) for c in figure.axes[0].collections) == len(X)


def test_many_numbers_are_shades_along_a_bar() -> None:
    figure = plots.latent_scatter(X[:, 20:22], X.mean(1), label_name="mean ink")
    cloud, bar = figure.axes[0].collections[0], figure.axes[1]
    np.testing.assert_allclose(np.sort(cloud.get_array()), np.sort(X.mean(1)))
    assert bar.get_ylabel() == "mean ink"
    assert bar.get_ylim() == pytest.approx((X.mean(1).min().item(), X.mean(1).max().item()))


@pytest.mark.parametrize(
    "blindness",
    [
        np.eye(3),
        # Machado, Oliveira and Fernandes, 2009: no red cones, no green cones
        np.array(
            [
                [0.152286, 1.052583, -0.204868],
                [0.114503, 0.786281, 0.099216],
                [-0.003882, -0.048116, 1.051998],
            ]
        ),
        np.array(
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
        ),
    ],
    ids=["all cones", "no red cones", "no green cones"],
)
def test_the_palette_stays_apart_without_red_or_green_cones(blindness: np.ndarray) -> None:
    rgb = np.array([to_rgb(colour) for colour in PALETTE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ blindness.T, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = seen @ to_xyz.T / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], -1)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(lab, 2)) > 15


# Training and KL


def lines(ax: Axes) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.get_lines()}


@pytest.mark.parametrize("wrap", [list, tuple, lambda rows: SimpleNamespace(rows=rows)])
def test_curves_are_the_rows_and_the_best_epoch_is_marked(wrap: Callable[..., Any]) -> None:
    figure = plots.training_curves(wrap(ROWS))
    losses, weight = figure.axes
    shown = lines(losses)
    np.testing.assert_allclose(shown["training"], [(row["epoch"], row["train_loss"]) for row in ROWS])
    np.testing.assert_allclose(shown["validation"], [(row["epoch"], row["validation_loss"]) for row in ROWS])
    np.testing.assert_allclose(shown["best: 64.00 at epoch 6"], [(6, 64.0)])
    assert losses.get_ylabel() == "-ELBO, nats per datum"
    assert weight.get_ylabel() == "KL\nweight"
    assert weight.get_xlabel() == "epoch"
    (curve,) = weight.get_lines()
    np.testing.assert_allclose(curve.get_ydata(), [row["kl_weight"] for row in ROWS])
    (shade,) = losses.patches
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (
        0.5,
        3.5,
    )  # epochs 1 to 3 had a weight below 1
    assert "KL weight ≠ 1" in words(losses.get_legend().get_texts())


def test_a_history_of_training_is_taken_as_it_is() -> None:
    history = pytest.importorskip("pyrovae.training.history")
    epochs = [history.Epoch(e, 10 * e, 30.0 / e, math.nan, 1.0, 1e-3 / e) for e in range(1, 5)]
    losses, rate = plots.training_curves(history.History(epochs)).axes
    assert list(lines(losses)) == ["training"]
    assert rate.get_ylabel() == "learning\nrate"


@pytest.mark.parametrize("missing", [None, math.nan, "absent"])
def test_epochs_without_validation_are_left_out(missing: Any) -> None:
    rows = [{"epoch": e, "train_loss": 10.0 - e, "validation_loss": 20.0 - e} for e in range(1, 7)]
    for row in rows[1::2]:
        if missing == "absent":
            del row["validation_loss"]
        else:
            row["validation_loss"] = missing
    figure = plots.training_curves(rows)
    shown = lines(figure.axes[0])
    np.testing.assert_allclose(shown["validation"], [(1, 19), (3, 17), (5, 15)])
    assert "best: 15.00 at epoch 5" in shown
    assert len(figure.axes) == 1


def test_a_run_without_validation_or_with_one_epoch_is_drawn() -> None:
    ax = plots.training_curves([{"epoch": 1, "train_loss": 5.0}]).axes[0]
    (line,) = ax.get_lines()
    assert line.get_marker() == "o"  # one point makes no line
    drawn(ax.figure)


def test_a_loss_that_became_infinite_leaves_a_gap() -> None:
    rows = [{"epoch": e, "train_loss": v} for e, v in enumerate([3.0, math.inf, math.nan, 2.0], 1)]
    drawn(plots.training_curves(rows))


def test_bars_are_the_mean_kl_sorted_and_active_units_are_counted() -> None:
    kl = X.double().numpy()
    kl[:, ::3] *= 0.001
    ax = plots.kl_per_dimension(kl, title="Digits").axes[0]
    means = kl.mean(0)
    active = int((means > 0.01).sum())
    assert 0 < active < 64
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], np.sort(means)[::-1])
    assert title(ax) == f"Digits: {active} of 64 units active (KL > 0.01 nats), {means.sum():.2f} nats in all"
    colours = [bar.get_facecolor() for bar in ax.patches]
    assert len(set(colours[:active])) == len(set(colours[active:])) == 1
    assert colours[0] != colours[-1]
    (border,) = ax.get_lines()
    assert list(border.get_xdata()) == [active + 0.5] * 2


def test_few_bars_have_the_names_of_their_dimensions() -> None:
    ax = plots.kl_per_dimension([0.5, 0.001, 2.0], threshold=0.6).axes[0]
    assert words(ax.get_xticklabels()) == ["2", "0", "1"]
    assert title(ax) == "1 of 3 units active (KL > 0.6 nats), 2.50 nats in all"
    assert title(plots.kl_per_dimension([1.0, 1.0]).axes[0]).startswith("2 of 2 units")


# Bad input

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
