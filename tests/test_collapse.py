"""The benchmark of posterior collapse: its parts against closed forms, the collapse itself, a rehearsal."""

from __future__ import annotations

import functools
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture
def collapse(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import collapse

    return collapse


def of(collapse: ModuleType, name: str) -> Any:
    return next(row for row in collapse.ROWS if row.name == name)


def test_a_pixel_is_decoded_from_those_before_it_and_from_z(collapse: ModuleType) -> None:
    from collapsing.programs import MaskedDecoder

    decoder = MaskedDecoder(9, hidden=40, latent=3)
    x, z = torch.rand(9), torch.randn(3)

    by_pixels = torch.autograd.functional.jacobian(lambda x: decoder(x, z), x)
    by_latent = torch.autograd.functional.jacobian(lambda z: decoder(x, z), z)

    assert (by_pixels.triu() == 0).all(), "a pixel sees itself or a later one"
    assert (by_pixels[torch.ones(9, 9).tril(-1).bool()] != 0).all()
    assert (by_latent[1:] != 0).any(1).all()


def test_the_likelihood_is_a_density_whatever_z(collapse: ModuleType) -> None:
    from collapsing.programs import MaskedDecoder

    decoder, z = MaskedDecoder(6, hidden=20, latent=3), 2 * torch.randn(4, 1, 3)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6)
    log_p = torch.distributions.Bernoulli(logits=decoder(every, z)).log_prob(every).sum(-1)
    assert log_p.logsumexp(-1).tolist() == pytest.approx([0.0] * 4, abs=1e-5)


def test_units_are_active_by_the_variance_of_their_means(collapse: ModuleType) -> None:
    from collapsing.measures import active_units

    loc = torch.randn(5000, 3) * torch.tensor([1.0, 0.11, 0.09])  # 0.1 is the limit
    assert active_units(loc + 7.0) == 2


def test_information_is_none_of_equal_posteriors_and_all_of_distant_ones(collapse: ModuleType) -> None:
    from collapsing.measures import information

    scale = torch.full((400, 2), 0.1)
    assert information(torch.full((400, 2), 3.0), scale) == pytest.approx(0.0, abs=1e-5)
    four = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0], [5.0, 5.0]]).repeat(100, 1)
    assert information(four, scale) == pytest.approx(math.log(4), abs=1e-4)


@pytest.fixture
def digits_of(collapse: ModuleType) -> tuple[Tensor, Tensor]:
    return collapse.load("digits")


def trained(collapse: ModuleType, data: tuple[Tensor, Tensor], name: str, epochs: int) -> dict[str, Any]:
    return collapse.train(of(collapse, name), data, epochs=epochs, seed=0, samples=10, compile=False)


def test_the_plain_bound_collapses_where_cures_do_not(
    collapse: ModuleType, digits_of: tuple[Tensor, Tensor]
) -> None:
    plain = trained(collapse, digits_of, "plain ELBO", 10)
    assert plain["rate"] < 0.1
    assert plain["active"] <= 1
    for name in ("warm-up, linear", "free bits, per site", "factorised decoder, plain ELBO"):
        alive = trained(collapse, digits_of, name, 10)
        assert alive["rate"] > 0.3, name
        assert alive["information"] > 0.2, name
        assert alive["active"] >= 4, name


def test_a_committed_rate_is_kept_and_need_not_be_information(
    collapse: ModuleType, digits_of: tuple[Tensor, Tensor]
) -> None:
    run = trained(collapse, digits_of, "delta-VAE, 4 nats", 10)
    assert run["rate"] >= 4.0 - 1e-4
    assert all(rate >= 4.0 - 1e-4 for _, rate in run["trace"])
    assert run["information"] < 1.0
    # The decoder ignores z: the evidence is what it reconstructs, and the bound is lower by the rate.
    assert run["evidence"] == pytest.approx(run["reconstruction"], abs=0.5)


def test_every_row_takes_a_step_and_has_a_colour(
    collapse: ModuleType, digits_of: tuple[Tensor, Tensor]
) -> None:
    from collapsing.picture import COLOURS
    from collapsing.programs import pair

    names = [row.name for row in collapse.ROWS]
    assert len(set(names)) == len(names)
    assert {start for start in COLOURS if any(name.startswith(start) for name in names)} == set(COLOURS)
    batch = digits_of[1][:20]
    for row in collapse.ROWS:
        assert any(row.name.startswith(start) for start in COLOURS)
        model, guide = pair(64, decoder=row.decoder, head=row.head)
        loss = row.objective(100).loss_and_grads(model, guide, batch)
        assert math.isfinite(loss), row.name
        # Lagging begins with steps of the guide alone, and warm-up with a weight of 0 on the rate.
        assert all(p.grad is not None and p.grad.isfinite().all() for p in guide.parameters()), row.name


def test_the_command_prints_keeps_and_draws(
    collapse: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    arguments = [
        "--data",
        "digits",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--samples",
        "2",
        "--rows",
        "0.5",
        "per site",
    ]
    files = ["--json", str(tmp_path / "all.json"), "--picture", str(tmp_path / "all.png")]
    monkeypatch.setattr(collapse, "train", functools.partial(collapse.train, compile=False))
    monkeypatch.setattr(sys, "argv", ["collapse.py", *arguments, *files])
    collapse.main()
    told = capsys.readouterr().out
    results = json.loads((tmp_path / "all.json").read_text())
    assert list(results["rows"]) == ["beta = 0.5", "free bits, per site"]
    assert all(f"| {name} |" in told for name in results["rows"])
    for runs in results["rows"].values():
        assert [run["seed"] for run in runs] == [0, 1]
        for run in runs:
            assert run["elbo"] == pytest.approx(run["reconstruction"] - run["rate"], abs=1e-3)
    assert (tmp_path / "all.png").stat().st_size > 10_000
    monkeypatch.setattr(sys, "argv", ["collapse.py", "--redraw", str(tmp_path / "all.json")])
    collapse.main()
    assert capsys.readouterr().out == told


def test_labels_are_moved_apart_around_their_lines(collapse: ModuleType) -> None:
    from collapsing.picture import _apart

    assert _apart([0.0, 4.0, 4.0, 9.0], 1.0) == pytest.approx([0.0, 3.5, 4.5, 9.0])
    assert _apart([1.0, 1.0, 1.4], 1.0) == pytest.approx([0.13333, 1.13333, 2.13333], abs=1e-4)
