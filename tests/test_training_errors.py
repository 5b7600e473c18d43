"""Bad input is answered before the first step: what, where, expected, got, remedy."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import RenyiELBO, Trace_ELBO
from safetensors.torch import save_file
from torch import Tensor, nn

import pyrovae as pv
from pyrovae import checkpoint

_STILL: dict[str, Any] = {"epochs": 1, "progress": False}


def _unchanged(model: nn.Module, data: Any, match: str, guide: Any, **options: Any) -> None:
    """``fit`` refuses with a message, and no parameter has moved."""
    before = [p.clone() for p in model.parameters()]
    with pytest.raises((ValueError, TypeError), match=match):
        pv.fit(model, guide, data, **{**_STILL, **options})
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda x: x.index_fill(0, torch.tensor([7]), float("nan")), "x: .*finite"),
        (lambda x: x / 0.0, "finite"),
        (lambda x: 0.5 * x, r"site 'x': .*0 or 1, got values from 0 to 0\.5.*Binarize\(\)"),
        (lambda x: 255 * x, r"site 'x': .*got values from 0 to 255.*Pixels\(\)"),
        (lambda x: torch.cat([x[:-1], 0.3 + 0 * x[:1]]), r"site 'x': .*0 or 1"),
        (lambda x: x[:, :60], r"60"),
        (lambda x: x.reshape(-1, 1, 8, 8), r"Flatten"),
        (lambda x: x.double(), r"float64"),
        (lambda x: x.to(torch.uint8), r"uint8"),
        (lambda x: x[:0], r"at least 1"),
        (lambda x: x.to(torch.complex64), r"complex64"),
        (lambda x: {"x": x}, "data"),
        (lambda x: (x, x[:5]), "length"),
        (lambda x: "digits", "load"),
    ],
)
def test_data_that_do_not_fit(spoil: Any, match: str, digits: Tensor, make_pair: Any) -> None:
    model, guide = make_pair()
    _unchanged(model, spoil(digits[:300]), match, guide, batch_size=50)


def _guide(**sites: Any) -> Any:
    """A guide with the given distributions, made from x."""
    encoder = nn.Linear(64, 8)

    def guide(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("encoder", encoder)
        assert x is not None
        with pyro.plate("data", len(x)):
            for name, make in sites.items():
                pyro.sample(name, make(encoder(x)))

    return guide


def _plate(size: int) -> Any:
    def guide(x: Tensor | None = None, size_: int | None = None) -> None:
        with pyro.plate("data", size):
            pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))

    return guide


def _unsupported(x: Tensor | None = None, size: int | None = None) -> None:
    raise RuntimeError("this operation is not supported")


@pytest.mark.parametrize(
    ("guide", "match"),
    [
        (_guide(w=pv.heads.normal), r"sites \['w'\].*in the guide and not in the model"),
        (_guide(), r"sites \['z'\].*in the model and not in the guide"),
        (
            _guide(z=pv.heads.normal, x=lambda t: dist.Bernoulli(logits=t).to_event(1)),
            r"site 'x': expected latent sites only.*Remove",
        ),
        (_guide(z=lambda t: pv.heads.normal(t[:, :6])), r"site 'z': expected event shape \(4,\).*\(3,\)"),
        (_guide(z=lambda t: pv.heads.normal(t[:, :5])), r"even size.*\(50, 5\)"),
        (_guide(z=lambda t: dist.Normal(t[:, :4], -1.0).to_event(1)), r"guide: .*scale"),
        (_plate(7), r"'data'.*\b7\b"),
        (_unsupported, r"guide: expected a program that runs .*RuntimeError: .* not supported"),
    ],
)
def test_a_guide_that_does_not_fit_the_model(guide: Any, match: str, digits: Tensor, make_pair: Any) -> None:
    model, _ = make_pair()
    _unchanged(model, digits[:100], match, guide, batch_size=50)


def test_a_guide_that_leaves_the_prior_s_support(digits: Tensor) -> None:
    """Validation is off in training: a negative draw for a positive latent would go unnoticed."""
    decoder = nn.Linear(4, 64)

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.LogNormal(torch.zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    with pytest.raises(ValueError, match="site 'z': expected draws in the support of the model's LogNormal"):
        pv.fit(model, _guide(z=pv.heads.normal), digits[:100], **_STILL)


def test_auxiliary_sites_are_welcome(digits: Tensor, make_pair: Any) -> None:
    model, guide = make_pair()

    def with_noise(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.sample("noise", dist.Normal(0.0, 1.0), infer={"is_auxiliary": True})
        guide(x, size)

    run = pv.fit(model, with_noise, digits[:100], **_STILL)
    assert len(run.history) == 1


def test_a_decoder_that_broadcasts_against_the_data(digits: Tensor, make_pair: Any) -> None:
    """One output for 64 pixels would be broadcast, and train, without a word."""
    _, guide = make_pair()
    model = pv.models.VAE(pv.priors.StandardNormal(4), pv.nets.MLP(4, 1), pv.heads.bernoulli)
    _unchanged(model, digits[:100], r"site 'x': .*\(100, 1\)", guide)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"epochs": 0}, "epochs: .*at least 1, got 0"),
        ({"batch_size": -3}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
        ({"seed": "zero"}, "seed"),
        ({"kl_warmup": -1}, "kl_warmup"),
        ({"kl_warmup": 2, "loss": RenyiELBO()}, "kl_warmup: .*RenyiELBO"),
        ({"patience": 0}, "patience"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"resume": True}, "run_dir"),
        ({"optim": "adam"}, "optim: .*str"),
        ({"optim": lambda parameters: None}, "optim: .*NoneType"),
        ({"scheduler": len, "optim": pyro.optim.Adam({"lr": 1e-3})}, "scheduler"),
        ({"loss": "elbo"}, "loss"),
        ({"loggers": [print]}, "loggers"),
        ({"batchsize": 3}, "Did you mean 'batch_size'"),
        ({"device": "cuda:99"}, "device: .*cuda:99"),
        ({"device": "gpu"}, "device"),
    ],
)
def test_settings_that_make_no_sense(options: Any, match: str, digits: Tensor, make_pair: Any) -> None:
    model, guide = make_pair()
    _unchanged(model, digits[:50], match, guide, **options)


def test_an_optimiser_that_forgets_the_guide(digits: Tensor, make_pair: Any) -> None:
    model, guide = make_pair()
    optim = torch.optim.Adam(model.parameters())
    _unchanged(model, digits[:50], r"optim: .*amortized\$\$\$", guide, optim=optim)


class Exploding(nn.Module):
    """A network whose output is infinite from its tenth training step on."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.steps = nn.Linear(64, 8), 0

    def forward(self, x: Tensor) -> Tensor:
        self.steps += self.training
        output: Tensor = self.net(x)
        return output * float("inf") if self.steps >= 10 else output


def test_a_loss_gone_nan_names_site_and_step_and_keeps_what_was_good(
    digits: Tensor, make_pair: Any, tmp_path: Path
) -> None:
    model, _ = make_pair()
    guide = pv.guides.Amortized(z=(Exploding(), pv.heads.normal))
    options: dict[str, Any] = {"run_dir": tmp_path, "checkpoint_every": 0, "batch_size": 50}
    with pytest.raises(FloatingPointError, match=r"step 10 \(epoch 3\).*site 'z' of the guide.*last\.safe"):
        pv.fit(model, guide, digits[:200], epochs=5, progress=False, **options)
    assert all(torch.isfinite(p).all() for p in [*model.parameters(), *guide.parameters()])
    kept = checkpoint.read(tmp_path / "last.safetensors", kind="training")
    assert kept["step"] == 9
    assert all(torch.isfinite(value).all() for value in kept["weights"].values())
    assert pv.training.folder.read_config(tmp_path)["status"] == "failed"


def test_a_gradient_gone_nan_changes_no_parameter(digits: Tensor, make_pair: Any) -> None:
    """sqrt at 0 has a finite value and an infinite slope."""
    _, guide = make_pair()
    decoder = nn.Linear(4, 64)
    bias = nn.Parameter(torch.zeros(64))

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("decoder", decoder)
        b = pyro.param("bias", bias)
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z) + b.abs().sqrt() * 0).to_event(1), obs=x)

    before = decoder.weight.clone()
    with pytest.raises(FloatingPointError, match=r"step 1 .*finite gradient"):
        pv.fit(model, guide, digits[:50], **_STILL)
    assert torch.equal(decoder.weight, before)


def test_a_folder_that_cannot_be_written(digits: Tensor, make_pair: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"run folder .*Choose another folder"):
        pv.fit(*make_pair(), digits[:50], run_dir=tmp_path / "file" / "run", **_STILL)


def test_a_full_disk_leaves_the_earlier_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    checkpoint.write(path, {"w": torch.ones(3)}, kind="weights")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left.*intact") as error:
        checkpoint.write(path, {"w": torch.zeros(3)}, kind="weights")
    assert error.value.errno == errno.ENOSPC
    assert torch.equal(checkpoint.read(path, kind="weights")["w"], torch.ones(3))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


class Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return Path.touch, (self.trace,)


def _truncate(path: Path, trace: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _tamper(path: Path, trace: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def _foreign(path: Path, trace: Path) -> None:
    save_file({"w": torch.ones(2)}, path)


def _pickle(path: Path, trace: Path) -> None:
    torch.save(Bomb(trace), path)


@pytest.mark.parametrize("spoil", [_truncate, _tamper, _foreign, _pickle])
def test_bad_checkpoints_are_refused_and_nothing_runs(spoil: Any, make_pair: Any, tmp_path: Path) -> None:
    folder = pv.Fit(*make_pair()).save(tmp_path / "run")
    spoil(folder / "weights.safetensors", tmp_path / "trace")
    with pytest.raises(ValueError, match="refused"):
        pv.load(folder)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("os.system", "public part of pyrovae"),
        ("pyrovae.checkpoint.write", "public part of pyrovae"),
        ("pyrovae.cli.main", "public part of pyrovae"),
        ("pyrovae.models.os", "public name"),
        ("torch.nn.Module", "public part"),
        ("pyrovae.models.VAEE", "Did you mean 'VAE'"),
    ],
)
def test_a_description_can_name_nothing_but_parts(path: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        pv.spec.build({"class_path": path, "init_args": {"command": "true"}})


def test_weights_of_another_network(make_pair: Any, tmp_path: Path) -> None:
    folder = pv.Fit(*make_pair()).save(tmp_path / "run")
    model, guide = make_pair(hidden=16)
    with pytest.raises(ValueError, match=r"weights of model.*expected shape \(16.*got \(32"):
        pv.load(folder, model=model, guide=guide)


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run folder"):
        pv.load(tmp_path)
    (tmp_path / "run.json").write_text("{broken")
    with pytest.raises(ValueError, match="refused"):
        pv.load(tmp_path)


def test_explicitly_unchecked_values_are_warned_about(digits: Tensor, make_pair: Any) -> None:
    """Someone who says validate_args=False on gray values gets a warning, not a refusal."""
    _, guide = make_pair()
    decoder = nn.Linear(4, 64)

    def model(x: Tensor | None = None, size: int | None = None) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", size if x is None else len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(4), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z), validate_args=False).to_event(1), obs=x)

    with pytest.warns(UserWarning, match="no density"):
        pv.fit(model, guide, 0.5 * digits[:50], **_STILL)


def test_more_tensors_asked_for_than_there_are(digits: Tensor, make_pair: Any) -> None:
    _, guide = make_pair()

    def model(x: Tensor, y: Tensor) -> None: ...

    with pytest.raises(TypeError, match="2 tensors a batch"):
        pv.fit(model, guide, digits[:50], **_STILL)


def test_the_process_is_as_before_a_failure(digits: Tensor, make_pair: Any) -> None:
    pyro.param("mine", torch.ones(2))
    (model, _), guide = make_pair(), _guide()
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="sites"):
        pv.fit(model, guide, digits[:50], loss=Trace_ELBO(), **_STILL)
    assert torch.equal(torch.get_rng_state(), state)
    assert list(pyro.get_param_store()) == ["mine"]
    assert poutine.runtime._PYRO_STACK == []
    assert model.training
    assert partial(pyro.settings.get, "validate_distributions_pyro")() is True
