"""The default parts, as descriptions: networks, heads and priors that suit data of a kind, and each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pyrovae.cli.building import Known
from pyrovae.cli.datasets import Covariates, Facts
from pyrovae.cli.options import SizeOptions
from pyrovae.errors import explain

CONTEXT = 32
"""How many features an autoregressive likelihood is given of z, and an auxiliary posterior of x."""


def part(path: str, **arguments: Any) -> dict[str, Any]:
    """The description of a part of pyrovae."""
    return {"class_path": f"pyrovae.{path}", "init_args": arguments}


@dataclass(frozen=True)
class Defaults:
    """What is taken where nobody says anything.

    Attributes:
        facts: of the data.
        sizes: what the command line says of sizes.
        activation: the description of the class of activations.
        latent: latent dimensions, of a sequence those of each step.
    """

    facts: Facts
    sizes: SizeOptions
    activation: Any
    latent: int

    @property
    def shape(self) -> list[int]:
        """Of a datum."""
        return list(self.facts.shape)

    @property
    def entries(self) -> int:
        """The size that heads of a likelihood are asked about: of vectors, of channels, of a step."""
        return self.shape[-1] if self.facts.net == "recurrent" else self.shape[0]

    @property
    def hidden(self) -> list[int]:
        """The widths of hidden layers."""
        if self.sizes.hidden:
            return list(self.sizes.hidden)
        if self.facts.net == "recurrent":
            return [64]
        return [256, 256] if prod(self.shape) <= 256 else [200, 200]

    @property
    def channels(self) -> list[int]:
        """The channels of a conv's stages."""
        return self.sizes.channels or [32, 64]

    def prior(self, *, levels: bool = False) -> dict[str, Any]:
        """A standard normal; of a sequence a Markov chain; where a latent has levels, a ladder."""
        if levels:
            return part("priors.Ladder")
        if self.facts.net == "recurrent":
            return part("priors.Markov")
        return part("priors.StandardNormal")

    def likelihood(self) -> dict[str, Any]:
        """Bernoulli for zeros and ones, otherwise a normal of one scale; of a sequence that of a step."""
        head = "heads.Bernoulli" if self.facts.binary else "heads.IsotropicNormal"
        return part(head, event_dim=1 if self.facts.net == "recurrent" else len(self.shape))

    def posterior(self) -> dict[str, Any]:
        """A diagonal normal; of a sequence a Markov chain of them."""
        return part("heads.Markov") if self.facts.net == "recurrent" else part("heads.Normal", event_dim=1)

    def encoder(self, outputs: int, *, reads_features: bool = False, given: int = 0) -> dict[str, Any]:
        """A network from data to so many outputs, which marks what is missing.

        Arguments:
            reads_features: whether the head behind it reads a step's features itself.
            given: the width of covariates that are joined to the data.
        """
        twice = 2 if self.facts.missing else 1
        kind, sides = self.facts.net, self.shape
        if kind == "conv":
            sides = [sides[0] * twice, *sides[1:]]
            net = part("nets.ConvEncoder", shape=sides, out_features=outputs, channels=self.channels)
            net["init_args"]["activation"] = self.activation
        elif kind == "recurrent":
            net = part(
                "nets.Recurrent", inputs=sides[1] * twice, hidden=self.hidden[-1], direction="backward"
            )
            if not reads_features:
                net["init_args"]["outputs"] = outputs
        else:
            net = self.mlp((sides[0] + given) * twice, *self.hidden, outputs)
        if not self.facts.missing:
            return net
        return part("nets.Filled", net=net, event_dim=3 if kind == "conv" else 1)

    def decoder(self, latent: int, outputs: int) -> dict[str, Any]:
        """A network from the latent, of a sequence from that of each step, to so many outputs an entry."""
        if self.facts.net != "conv":
            return self.mlp(latent, *self.hidden[::-1], outputs)
        shape = [outputs, *self.shape[1:]]
        net = part("nets.ConvDecoder", in_features=latent, shape=shape, channels=self.channels[::-1])
        net["init_args"]["activation"] = self.activation
        return net

    def mlp(self, *widths: int) -> dict[str, Any]:
        """A network on vectors."""
        return part("nets.MLP", widths=list(widths), activation=self.activation)

    def joined(self, option: str, net: Callable[[int], Any]) -> dict[str, Any]:
        """A network that reads covariates too; ``net`` makes one for so many more inputs."""
        found = self.covariates(option)
        return part("nets.Joined", net=net(found.width), classes=found.classes)

    def covariates(self, option: str) -> Covariates:
        """What follows x in the data.

        Raises:
            ValueError: where nothing does.
        """
        if self.facts.covariates is None:
            raise ValueError(
                explain(
                    option,
                    expected="data with labels or covariates y",
                    got="data without",
                    remedy="Save both, numpy.savez(path, x=..., y=...), or leave the option out.",
                )
            )
        return self.facts.covariates

    def of_prior(self, encoder: Any = None, posterior: Any = None) -> Known:
        """What a prior may be told; its neighbours too, once they are known."""
        by_name: dict[str, Any] = {"dim": self.latent, "shape": self.shape}
        if encoder is not None:
            # Of a flowed posterior its base: the way back of a flow may take a pass for each dimension.
            flowed = posterior["class_path"] == "pyrovae.heads.Flowed"
            head = part("heads.BaseOf", flowed=posterior) if flowed else posterior
            by_name |= {"encoder": encoder, "head": head}
        by_class = {"Ladder": self._ladder, "Conditional": self._conditional}
        by_class |= {"Markov": self._markov, "GaussianProcess": self._gaussian_process}
        return Known(by_name, {f"pyrovae.priors.{name}": tell for name, tell in by_class.items()})

    def of_head(self) -> Known:
        """What a likelihood may be told."""
        features = {"dim": prod(self.shape), "length": self.shape[0], "channels": self.shape[0]}
        elementwise = self.likelihood()
        return Known(
            {**features, "size": self.shape, "context": CONTEXT, "head": elementwise, "emission": elementwise}
        )

    def of_posterior(self) -> Known:
        """What a posterior may be told."""
        by_name = {"dim": self.latent, "hidden": self.hidden[-1], "head": part("heads.Normal")}
        return Known(by_name, {"pyrovae.heads.Auxiliary": self._auxiliary})

    def of_guide(self, amortized: Any) -> Known:
        """What a guide may be told: the model and its prior are the very objects that are trained."""
        by_name = {
            "base": amortized,
            "model": {"same_as": "model"},
            "prior": {"same_as": "model.prior"},
            "dim": self.latent,
        }
        return Known(by_name, {"pyrovae.guides.PerDatum": _refuse_rows})

    def rungs(self, sizes: Sequence[int]) -> dict[str, Any]:
        """The way up of a ladder guide: a network and a reading for each level."""
        width = self.hidden[-1]
        first = self.encoder(width)
        ups = [first, *(self.mlp(width, width, width) for _ in sizes[1:])]
        return {
            f"z{level}": [up, self.mlp(width, 2 * size)]
            for level, (up, size) in enumerate(zip(ups, sizes, strict=True), start=1)
        }

    def _ladder(self, given: Mapping[str, Any]) -> dict[str, Any]:
        sizes = given.get("sizes", [self.latent, max(1, self.latent // 2)])
        steps = zip(sizes[1:], sizes, strict=False)
        return {"sizes": sizes, "nets": [self.mlp(up, self.hidden[-1], 2 * down) for up, down in steps]}

    def _markov(self, given: Mapping[str, Any]) -> dict[str, Any]:
        net = part("nets.GatedTransition", dim=self.latent, hidden=self.hidden[-1])
        return {"length": self._steps("Markov", given, "length"), "net": net}

    def _gaussian_process(self, given: Mapping[str, Any]) -> dict[str, Any]:
        times = self._steps("GaussianProcess", given, "times")
        return {"times": times, "kernel": part("kernels.SquaredExponential")}

    def _steps(self, name: str, given: Mapping[str, Any], option: str) -> Any:
        """The number of steps of a prior of sequences, where data are sequences."""
        if option in given:
            return given[option]
        if self.facts.net == "recurrent":
            return self.shape[0]
        raise ValueError(
            explain(
                f"--prior pyrovae.priors.{name}",
                expected="--net recurrent, and data of shape (T, D): it is a prior of sequences",
                got=f"networks for vectors, data of shape {tuple(self.shape)}",
                remedy="Add --net recurrent, or take another prior.",
            )
        )

    def _conditional(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = self.covariates("--prior pyrovae.priors.Conditional")
        if "head" in given:  # whose features only the user knows
            return {"classes": found.classes}
        # Of a label a table is all that there is to learn; of numbers a function.
        widths = [found.width] if found.classes else [found.width, self.hidden[-1]]
        net = self.mlp(*widths, 2 * self.latent)
        return {"net": net, "head": part("heads.Normal"), "classes": found.classes}

    def _auxiliary(self, given: Mapping[str, Any]) -> dict[str, Any]:
        size, context = given.get("auxiliary", self.latent), given.get("context", CONTEXT)
        width = self.hidden[-1]
        return {
            "auxiliary": size,
            "context": context,
            "net": self.mlp(size + context, width, 2 * self.latent),
            "reverse": self.mlp(self.latent + context, width, 2 * size),
        }


def _refuse_rows(_: Mapping[str, Any]) -> dict[str, Any]:
    raise ValueError(
        explain(
            "--guide pyrovae.guides.PerDatum",
            expected="a guide that reads posteriors off data, of validation and test data too",
            got="one that keeps a row for each datum it was trained on",
            remedy="Take pyrovae.guides.SemiAmortized; PerDatum is for scripts.",
        )
    )
