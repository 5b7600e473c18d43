"""Figures show the numbers they were given, say what they show, and leave pyplot alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from figures import FIGURES, drawn, title
from matplotlib.figure import Figure

from pyrovae import plots
from pyrovae.plots._style import WIDTH


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
