"""Scatter, curves and bars: what is drawn is what was given."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from figures import ROWS, X, Y, drawn, title, words
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pyrovae import plots
from pyrovae.plots._style import PALETTE


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
