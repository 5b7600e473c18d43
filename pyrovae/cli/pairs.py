"""The model and the guide: those of the user where given, otherwise a VAE whose parts fit the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from pyrovae.cli.building import MissingOption, build, filled, merge
from pyrovae.cli.datasets import Facts
from pyrovae.cli.defaults import Defaults, part
from pyrovae.cli.options import PartOptions, SizeOptions
from pyrovae.cli.parts import described, way_to, words_in
from pyrovae.cli.references import References, is_reference
from pyrovae.errors import explain, nearest
from pyrovae.priors import VampPrior

_OF_PARTS = ("pyrovae.models.VAE", "pyrovae.models.Ladder")
"""The models that are made of the roles below."""

_ROLES = ("prior", "decoder", "likelihood")

_LADDER, _MARKOV, _JOINED = "pyrovae.models.Ladder", "pyrovae.heads.Markov", "pyrovae.nets.Joined"
_STEPS, _OF_ONE_LATENT = "pyrovae.heads.Steps", ("pyrovae.heads.GRU", "pyrovae.heads.Transformer")


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
    levels = _class(parts.model) == _LADDER
    start = Defaults(facts, sizes, {"import": _activation(sizes.activation)}, _latent(sizes, facts))
    prior = merge(start.prior(levels=levels), given["prior"], references)
    prior = filled(prior, start.of_prior(), references)
    defaults = replace(start, latent=_width(prior, references) or start.latent)

    likelihood = _likelihood(defaults, given["likelihood"], references)
    likelihood = filled(likelihood, defaults.of_head(), references)
    posterior = merge(defaults.posterior(), parts.posterior, references)
    posterior = filled(posterior, defaults.of_posterior(), references)
    for_x = _outputs(likelihood, facts.shape, defaults.entries, references, "likelihood")
    for_z = _outputs(posterior, (defaults.latent,), defaults.latent, references, "posterior")
    reads = posterior["class_path"] == _MARKOV

    def encoder_for(covariates: int) -> Any:
        return defaults.encoder(for_z, reads_features=reads, given=covariates)

    def decoder_for(covariates: int) -> Any:
        seen = prior["init_args"]["sizes"][0] if levels else defaults.latent
        return defaults.decoder(seen + covariates, for_x)

    encoder = _network("encoder", parts.encoder, encoder_for, defaults, references)
    decoder = _network("decoder", given["decoder"], decoder_for, defaults, references)
    prior = filled(prior, defaults.of_prior(encoder, posterior), references)
    model = part("models.VAE", prior=prior, decoder=decoder, likelihood=likelihood)
    amortized = part("guides.Amortized", sites={"z": [_shared(encoder, prior), _shared(posterior, prior)]})
    guide = amortized
    if levels:
        guide = part("guides.Ladder", rungs=defaults.rungs(prior["init_args"]["sizes"]))
    if _class(parts.guide) not in (None, guide["class_path"]):
        # A guide of another class may take the parts by these names.
        net, head = amortized["init_args"]["sites"]["z"]
        guide = part("guides.Amortized", **amortized["init_args"], encoder=net, posterior=head)
    guide = filled(merge(guide, parts.guide, references), defaults.of_guide(amortized), references)
    return merge(model, own, references), guide


def take_missing(parts: PartOptions, references: References) -> bool:
    """Whether a part that was given takes NaN for what is missing."""
    classes = filter(None, (_class(parts.model), _class(parts.likelihood)))
    inside = (word for word in words_in([parts.model, parts.likelihood]) if word.startswith("pyrovae."))
    return any(getattr(references.find(path), "takes_missing", False) for path in (*classes, *inside))


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
    """Starts what a model learns in the form of data: the pseudo-inputs of a VampPrior, from the data.

    What is missing in them starts at the mean of what isn't.
    """
    for module in model.modules() if isinstance(model, nn.Module) else ():
        if isinstance(module, VampPrior):
            found = x()
            whole = torch.where(found.isnan(), found.nanmean(0).nan_to_num(), found)
            module.start_from(whole, seed=seed)


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


def _class(given: Any) -> str | None:
    """The class path of a part that was given, None where it isn't said."""
    path: str | None = described(given).get("class_path")
    return path


def _shared(own: Any, prior: Any) -> Any:
    """A part of the guide: where a prior is made of posteriors, the very one that the prior holds."""
    way = way_to(own, prior, "model.prior")
    return own if way is None else {"same_as": way}


def _likelihood(defaults: Defaults, given: Any, references: References) -> Any:
    """The head of the decoder; of a sequence the head that is given is one of each step."""
    if defaults.facts.net != "recurrent":
        return merge(defaults.likelihood(), given, references)
    if _class(given) in _OF_ONE_LATENT:
        raise ValueError(
            explain(
                "--likelihood",
                expected="a head of one step: with --net recurrent the latent is a sequence too",
                got=f"{_class(given)}, which is given one latent vector",
                remedy="Leave --net recurrent out.",
            )
        )
    if _class(given) == _STEPS:
        return described(given)
    return part("heads.Steps", head=merge(defaults.likelihood(), given, references))


def _network(
    role: str, given: Any, make: Callable[[int], Any], defaults: Defaults, references: References
) -> Any:
    """The default network, for so many more inputs where the one that is given joins covariates to them."""
    joins = _class(given) == _JOINED
    return merge(defaults.joined(f"--{role}", make) if joins else make(0), given, references)


def _folded(parts: PartOptions) -> tuple[dict[str, Any], Any]:
    """The model's parts, given as ``--prior`` or ``--model.prior``; and what else is given of it."""
    given: dict[str, Any] = {role: getattr(parts, role) for role in _ROLES}
    own = parts.model
    if isinstance(own, dict) and own.get("class_path", _OF_PARTS[0]) in _OF_PARTS:
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


def _latent(sizes: SizeOptions, facts: Facts) -> int:
    """The latent dimensions that are asked for, or as many as suit the data; of a sequence, of a step's."""
    if sizes.latent is None:
        size = facts.shape[-1] if facts.net == "recurrent" else prod(facts.shape)
        return min(50, max(2, size // 8))
    if sizes.latent < 1:
        raise ValueError(
            explain("--latent", expected="1 or more dimensions", got=str(sizes.latent), remedy="Try 8.")
        )
    return sizes.latent


def _width(prior: dict[str, Any], references: References) -> int | None:
    """The latent dimensions of a prior, of a sequence those of a step, None where it doesn't say."""
    try:
        made = build(prior, references, "prior")
    except MissingOption:
        # It waits for its encoder; what is missing even then is said when the model is made.
        return None
    try:
        shape = made().event_shape
    except Exception:  # it reads covariates, or is no prior: what comes of that is said by fit's first look
        return None
    return int(shape[-1]) if len(shape) in (1, 2) else None


def _outputs(
    head: dict[str, Any], shape: Sequence[int], entries: int, references: References, where: str
) -> int:
    """How many network outputs a head wants for its entries, of an event of a shape."""
    made = build(head, references, where)
    if hasattr(made, "features"):
        return int(made.features(entries))
    for times in (1, 2, 3):  # a head of the user's need not say it
        try:
            found = made(torch.zeros(1, times * shape[0], *shape[1:])).event_shape
        except Exception:  # it does not take so many
            continue
        if tuple(found) == tuple(shape):
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
