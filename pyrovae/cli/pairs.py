"""The model and the guide: those of the user where given, otherwise a VAE whose parts fit the data."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.cli.building import MissingOption, build, filled, merge
from pyrovae.cli.datasets import Facts
from pyrovae.cli.options import PartOptions, SizeOptions
from pyrovae.cli.parts import described
from pyrovae.cli.references import References, is_reference
from pyrovae.errors import explain, nearest
from pyrovae.priors import VampPrior

DEFAULT = ("pyrovae.models.VAE", "pyrovae.guides.Amortized")
"""The class paths of model and guide where nothing else is said."""

_ROLES = ("prior", "decoder", "likelihood")

_CONTEXT = 32
"""How many features of z an autoregressive likelihood is given, where nobody says."""


def resolve(
    facts: Facts, sizes: SizeOptions, parts: PartOptions, references: References
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The descriptions of model and guide, everything that was left open filled in.

    A part of another class keeps those options of the default part that it takes too: of
    ``--prior pyrovae.priors.DiagonalNormal`` nobody need say the ``dim``.

    Raises:
        ValueError: for parts that don't exist or don't fit.
    """
    given, own = _folded(parts)
    shape, event_dim = list(facts.shape), len(facts.shape)
    size = prod(shape)
    latent = _latent(sizes, size)
    prior = merge(_part("priors.StandardNormal", dim=latent), given["prior"], references)
    latent = _width(filled(prior, {"dim": latent}, references), references) or latent
    head = "heads.Bernoulli" if facts.binary else "heads.IsotropicNormal"
    likelihood = merge(_part(head, event_dim=event_dim), given["likelihood"], references)
    features = {"dim": size, "length": shape[0], "channels": shape[0], "context": _CONTEXT}
    likelihood = filled(likelihood, features, references)
    posterior = merge(_part("heads.Normal", event_dim=1), parts.posterior, references)
    posterior = filled(posterior, {"dim": latent, "head": _part("heads.Normal")}, references)
    for_x = _outputs(likelihood, shape, references, "likelihood")
    for_z = _outputs(posterior, [latent], references, "posterior")
    hidden = sizes.hidden or ([256, 256] if size <= 256 else [200, 200])
    channels = sizes.channels or [32, 64]
    activation = {"import": _activation(sizes.activation)}
    if event_dim == 3:
        outputs = [for_x, *shape[1:]]
        decoder = _part("nets.ConvDecoder", in_features=latent, shape=outputs, channels=channels[::-1])
        encoder = _part("nets.ConvEncoder", shape=shape, out_features=for_z, channels=channels)
    else:
        decoder = _part("nets.MLP", widths=[latent, *hidden[::-1], for_x])
        encoder = _part("nets.MLP", widths=[size, *hidden, for_z])
    for net in (decoder, encoder):
        net["init_args"]["activation"] = activation
    decoder = merge(decoder, given["decoder"], references)
    encoder = merge(encoder, parts.encoder, references)
    prior = filled(prior, {"dim": latent, "encoder": encoder, "head": posterior, "shape": shape}, references)
    vae = _part("models.VAE", prior=prior, decoder=decoder, likelihood=likelihood)
    # A prior that is made of posteriors holds the very encoder of the guide.
    shares = prior["init_args"].get("encoder") is encoder
    of_guide = {"same_as": "model.prior.encoder"} if shares else encoder
    amortized = _part("guides.Amortized", sites={"z": [of_guide, posterior]})
    if described(parts.guide).get("class_path", amortized["class_path"]) != amortized["class_path"]:
        # A guide of the user's may take the parts by these names.
        amortized["init_args"] |= {"encoder": of_guide, "posterior": posterior}
    return merge(vae, own, references), merge(amortized, parts.guide, references)


def make(description: dict[str, Any], references: References, role: str) -> Any:
    """The model or the guide of a description.

    Raises:
        ValueError: when it is nothing that can be called.
    """
    program = build(description, references, role)
    if not callable(program):
        raise ValueError(
            explain(
                f"--{role}",
                expected="a Pyro program: a function, or a class of callable objects",
                got=f"{description['class_path']}, {type(program).__name__}",
                remedy="Name the program.",
            )
        )
    references.roots[role] = program
    return program


def begin(model: Any, x: Callable[[], Tensor], seed: int) -> None:
    """Starts what a model learns in the form of data: the pseudo-inputs of a VampPrior, from the data."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        if isinstance(module, VampPrior):
            module.start_from(x(), seed=seed)


def sentence(model: Any, guide: Any) -> str:
    """What is trained, in one line."""
    parameters = (
        parameter
        for program in (model, guide)
        if isinstance(program, nn.Module)
        for parameter in program.parameters()
    )
    count = sum({id(parameter): parameter.numel() for parameter in parameters}.values())
    words = [_name(program) for program in (model, guide)]
    return f"pair   {words[0]} with {words[1]}" + (f"; {count:,} parameters in modules" if count else "")


def _name(program: Any) -> str:
    name = getattr(program, "__name__", type(program).__name__)
    factorisation = getattr(program, "factorisation", None)
    return f"{name} {factorisation}" if factorisation else name


def _part(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"pyrovae.{path}", "init_args": arguments}


def _folded(parts: PartOptions) -> tuple[dict[str, Any], Any]:
    """The model's parts, given as ``--prior`` or ``--model.prior``; and what else is given of it."""
    given: dict[str, Any] = {role: getattr(parts, role) for role in _ROLES}
    own = parts.model
    if isinstance(own, dict) and own.get("class_path", "pyrovae.models.VAE") == "pyrovae.models.VAE":
        arguments = dict(own.get("init_args") or {})
        for role in _ROLES:
            inside = arguments.pop(role, None)
            if inside is not None and given[role] is not None:
                raise ValueError(
                    explain(
                        f"--model.{role}",
                        expected=f"only one of it and --{role}",
                        got="both",
                        remedy="Drop one.",
                    )
                )
            given[role] = given[role] if inside is None else inside
        own = {**own, "init_args": arguments}
    return given, own


def _latent(sizes: SizeOptions, size: int) -> int:
    """The latent dimensions that are asked for, or as many as suit data of a size."""
    if sizes.latent is None:
        return min(50, max(2, size // 8))
    if sizes.latent < 1:
        raise ValueError(
            explain("--latent", expected="1 or more dimensions", got=str(sizes.latent), remedy="Try 8.")
        )
    return sizes.latent


def _width(prior: dict[str, Any], references: References) -> int | None:
    """The latent dimensions of a prior, None where it doesn't say."""
    try:
        made = build(prior, references, "prior")
    except (
        MissingOption
    ):  # it waits for its encoder; what is missing after that is said when the model is made
        return None
    try:
        shape = made().event_shape
    except Exception:  # it reads covariates, or is no prior: what comes of that is said by fit's first look
        return None
    return int(shape[0]) if len(shape) == 1 else None


def _outputs(head: dict[str, Any], shape: list[int], references: References, where: str) -> int:
    """How many network outputs a head wants along the first dimension of an event of a shape."""
    made = build(head, references, where)
    if hasattr(made, "features"):
        return int(made.features(shape[0]))
    for times in (1, 2, 3):  # a head of the user's need not say it
        try:
            found = made(torch.zeros(1, times * shape[0], *shape[1:])).event_shape
        except Exception:  # it does not take so many
            continue
        if list(found) == shape:
            return times * shape[0]
    raise ValueError(
        explain(
            f"--{where}",
            expected=f"a head that makes a distribution over {tuple(shape)} of one to three outputs an "
            "entry, or that says by features(d) how many it takes",
            got=f"{head['class_path']}, which makes none",
            remedy=f"Mind --{where}.event_dim, {len(shape)} here.",
        )
    )


def _activation(path: str) -> str:
    if is_reference(path):
        return path
    known = ("ReLU", "GELU", "SiLU", "Tanh", "ELU", "LeakyReLU", "Softplus", "Sigmoid")
    close = {name.lower(): f"torch.nn.{name}" for name in known}
    remedy = (
        f"Did you mean {close[path.lower()]!r}?" if path.lower() in close else nearest(path, close.values())
    )
    raise ValueError(explain("--activation", expected="a class path", got=repr(path), remedy=remedy))
