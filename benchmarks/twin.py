"""Twins: one VAE trained by hand-written torch and by ``pyrovae.fit``; bounds, times and memory side by side.

    python benchmarks/twin.py --root DIR                  MNIST in DIR (or PYROVAE_DATA), 10 epochs each
    python benchmarks/twin.py --data digits --epochs 5    a minute's rehearsal on the embedded digits

Both twins start from the same weights and see the same data in the same order, with the same binarisation
and the same noise, so the two programs must agree to rounding and not only on average. With --own-noise each
has its own order, binarisation and noise; what differs then is also luck.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import hand_written as hand
import torch
from measure import Clock, forget_peak, machine, mean_and_error, peak_memory, quartiles, ratios
from torch import Tensor

SIZES = {"mnist": (784, 200, 50), "digits": (64, 200, 50)}
BATCH = 128


def pair_like(twin: hand.VAE) -> tuple[Any, Any]:
    """The same VAE as a Pyro model and guide, with the same weights."""
    import pyrovae as pv

    inputs, hidden, latent = (
        twin.encoder[0].in_features,
        twin.encoder[0].out_features,
        twin.decoder[0].in_features,
    )
    decoder = pv.nets.MLP(latent, hidden, hidden, inputs, activation=torch.nn.Tanh)
    encoder = pv.nets.MLP(inputs, hidden, hidden, 2 * latent, activation=torch.nn.Tanh)
    encoder.layers.load_state_dict(twin.encoder.state_dict())
    decoder.layers.load_state_dict(twin.decoder.state_dict())
    model = pv.models.VAE(pv.priors.StandardNormal(latent), decoder, pv.heads.bernoulli)
    return model, pv.guides.Amortized(z=(encoder, pv.heads.normal))


def fit(model: Any, guide: Any, x: Tensor, *, epochs: int, seed: int, loggers: tuple[Any, ...] = ()) -> Any:
    """What a user of pyrovae writes."""
    from pyro.infer import TraceMeanField_ELBO

    import pyrovae as pv

    data = pv.data.Data(x, transform=pv.data.Binarize())
    loss = TraceMeanField_ELBO()
    return pv.fit(
        model,
        guide,
        data,
        loss=loss,
        epochs=epochs,
        batch_size=BATCH,
        seed=seed,
        device="cpu",
        loggers=loggers,
    )


class Alternation:
    """A logger of ``pyrovae.fit`` that lets the hand-written twin train an epoch after each of pyrovae's.

    So the epochs alternate A B A B in one process, and what else the machine does meets both.
    """

    def __init__(self, twin: hand.VAE, model: Any, guide: Any, x: Tensor, test: Tensor, options: Any) -> None:
        self.twin, self.optimiser, self.x = twin, hand.adam(twin), x
        self.networks = {
            "hand_written": (twin.encoder, twin.decoder),
            "pyrovae": (guide.nets["z"], model.decoder),
        }
        self.test, self.options = test, options
        self.marks = {options.epochs, options.epochs // 2} - {0}
        # Where the hand-written epoch's random numbers begin: where those of pyrovae's epoch began, or not.
        torch.manual_seed(options.seed + (1_000_000 if options.own_noise else 0))
        self.noise = torch.get_rng_state()
        self.times: list[tuple[Clock, Clock]] = []
        self.losses: list[dict[str, float]] = []
        self.bounds: list[dict[str, Any]] = []
        self.start_up: Clock | None = None
        self.resumed = Clock.now()

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        theirs = Clock.now().since(self.resumed)
        epoch, after = int(metrics["epoch"]), torch.get_rng_state()
        torch.set_rng_state(self.noise)
        order = None if self.options.own_noise else order_of_fit(len(self.x), self.options.seed, epoch - 1)
        begun = Clock.now()
        loss = hand.train(
            self.twin, self.optimiser, hand.batches(self.x, order or hand.shuffled(len(self.x)))
        )
        ours = Clock.now().since(begun)
        self.noise = torch.get_rng_state() if self.options.own_noise else after
        torch.set_rng_state(after)
        self.losses.append({"hand_written": loss, "pyrovae": metrics["train_loss"]})
        print(f"epoch {epoch}: pyrovae {theirs.wall:.2f} s, by hand {ours.wall:.2f} s", file=sys.stderr)
        if epoch == 1:  # the warm-up of both, and of pyrovae its checks of the pair and of all data
            self.start_up = theirs
        else:
            self.times.append((theirs, ours))
        if epoch in self.marks:
            self.bounds.append({"epochs": epoch, **self.compare()})
        self.resumed = Clock.now()

    def compare(self) -> dict[str, Any]:
        """The test bounds of both, by one estimator with the same noise, and their paired difference."""
        of = {
            name: hand.bound(*networks, self.test, samples=self.options.samples, seed=1)
            for name, networks in self.networks.items()
        }
        difference = of["pyrovae"] - of["hand_written"]
        return {name: mean_and_error(values) for name, values in {**of, "difference": difference}.items()}


def order_of_fit(count: int, seed: int, epoch: int) -> list[Tensor]:
    """The numbers of the data in each batch of one epoch of ``pyrovae.fit``."""
    import pyrovae as pv

    numbers = pv.data.as_batches(torch.arange(count), batch_size=BATCH, device="cpu", seed=seed)
    return [index for (index,) in numbers.epoch(epoch)]


def alternate(options: argparse.Namespace) -> dict[str, Any]:
    """The two trainings side by side: bounds, and times per epoch after the warm-up."""
    import pyrovae as pv

    x, test = hand.load(options.data, options.root)
    sizes = SIZES[options.data]
    test = torch.bernoulli(test, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(options.seed)
    twin = hand.VAE(*sizes)
    model, guide = pair_like(twin)
    alternation = Alternation(twin, model, guide, x, test, options)
    run = fit(model, guide, x, epochs=options.epochs, seed=options.seed, loggers=(alternation,))
    results: dict[str, Any] = {"losses": alternation.losses, "bounds": alternation.bounds}
    bound = -pv.evaluate.elbo(run, test, num_samples=options.samples).elbo
    results["bound_by_evaluate"] = mean_and_error(bound)
    results["epoch"] = {kind: ratios(alternation.times, kind) for kind in Clock._fields}
    ordinary = results["epoch"]["wall"]["pyrovae"]["median"]
    results["start_up_seconds"] = alternation.start_up.wall - ordinary
    return results


def alone(options: argparse.Namespace) -> dict[str, float]:
    """One twin in a process of its own, from the first weight to the last: its whole time and peak memory."""
    x, _ = hand.load(options.data, options.root)
    torch.manual_seed(options.seed)
    twin = hand.VAE(*SIZES[options.data])
    # What is loaded at first use (torch's compiler, by the optimiser; pyrovae) is not the training's time.
    rehearsal = hand.VAE(*SIZES[options.data])
    hand.train(rehearsal, hand.adam(rehearsal), hand.batches(x[:BATCH], hand.shuffled(BATCH)))
    if options.alone == "pyrovae":
        fit(*pair_like(rehearsal), x[:BATCH], epochs=1, seed=0)
        pair = pair_like(twin)
    resident, begun = forget_peak(), Clock.now()
    if options.alone == "pyrovae":
        fit(*pair, x, epochs=options.epochs, seed=options.seed)
    else:
        optimiser = hand.adam(twin)
        for _ in range(options.epochs):
            hand.train(twin, optimiser, hand.batches(x, hand.shuffled(len(x))))
    took = Clock.now().since(begun)
    return {**took._asdict(), "peak_mb": peak_memory(), "resident_before_training_mb": resident}


def apart(options: argparse.Namespace) -> dict[str, Any]:
    """Each twin in fresh processes, by turns: the whole training end to end, and its peak memory."""
    runs: dict[str, list[dict[str, float]]] = {"pyrovae": [], "hand_written": []}
    for turn in range(options.repeats):
        for name, results in runs.items():
            print(f"in a process of its own, {turn + 1} of {options.repeats}: {name}", file=sys.stderr)
            command = [sys.executable, __file__, "--alone", name, "--epochs", str(options.alone_epochs)]
            command += ["--data", options.data, "--seed", str(options.seed)]
            command += ["--root", str(options.root)] if options.root else []
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            results.append(json.loads(done.stdout))
    times = [
        (Clock(a["wall"], a["cpu"]), Clock(b["wall"], b["cpu"]))
        for a, b in zip(runs["pyrovae"], runs["hand_written"], strict=True)
    ]
    return {
        "epochs": options.alone_epochs,
        **{kind: ratios(times, kind) for kind in Clock._fields},
        **{
            memory: {name: quartiles([run[memory] for run in results]) for name, results in runs.items()}
            for memory in ("peak_mb", "resident_before_training_mb")
        },
    }


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table."""
    rows = ["| | hand-written torch | pyrovae | pyrovae against hand-written |", "|---|---:|---:|---:|"]

    def row(what: str, cells: dict[str, Any], difference: str) -> None:
        rows.append(f"| {what} | {cells['hand_written']} | {cells['pyrovae']} | {difference} |")

    for epoch in (1, len(results["losses"])):
        loss = results["losses"][epoch - 1]
        difference = f"{loss['pyrovae'] - loss['hand_written']:+.5f}"
        row(f"mean loss in epoch {epoch}, nats", {k: f"{v:.5f}" for k, v in loss.items()}, difference)
    for marked in results["bounds"]:
        cells = {
            k: f"{v['mean']:.2f} ± {v['standard_error']:.2f}" for k, v in marked.items() if k != "epochs"
        }
        difference = "{mean:+.4f} ± {standard_error:.4f}".format(**marked["difference"])
        row(f"test bound after {marked['epochs']} epochs, nats", cells, difference)
    own = "{mean:.2f} ± {standard_error:.2f}".format(**results["bound_by_evaluate"])
    row("the same bound, by pyrovae.evaluate.elbo", {"hand_written": "", "pyrovae": own}, "")
    timed, whole = [("an epoch", results["epoch"])], results.get("whole")
    if whole:
        timed.append((f"a training of {whole['epochs']} epochs", whole))
    for what, times in timed:
        for kind, name in (("wall", "wall"), ("cpu", "CPU")):
            cells = {side: f"{times[kind][side]['median']:.2f}" for side in ("hand_written", "pyrovae")}
            ratio = "x {median:.2f} (quartiles {lower:.2f} to {upper:.2f})".format(**times[kind]["ratio"])
            row(f"{what}, {name} seconds", cells, ratio)
    if whole:
        peak = {name: spread["median"] for name, spread in whole["peak_mb"].items()}
        cells = {name: f"{value:.0f}" for name, value in peak.items()}
        row(
            "peak memory of the process in training, MB",
            cells,
            f"{peak['pyrovae'] - peak['hand_written']:+.0f}",
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=sorted(SIZES), default="mnist", help="mnist in full, or digits")
    parser.add_argument("--root", type=Path, help="where MNIST lies; by default PYROVAE_DATA says so")
    parser.add_argument("--epochs", type=int, default=10, help="how many each twin trains, at least 2")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and noise")
    parser.add_argument("--own-noise", action="store_true", help="don't share order, binarisation and noise")
    parser.add_argument("--samples", type=int, default=10, help="draws from q for each test datum")
    parser.add_argument("--alone-epochs", type=int, default=2, help="of the trainings for time and memory")
    parser.add_argument("--repeats", type=int, default=3, help="how many of those; 0 leaves them out")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table instead of JSON")
    parser.add_argument("--alone", choices=("hand_written", "pyrovae"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.epochs < 2 and not options.alone:
        parser.error("--epochs: expected at least 2, the first is the warm-up of the clocks")
    if options.alone:
        print(json.dumps(alone(options)))
        return
    results = {
        "machine": machine(),
        "settings": {k: str(v) for k, v in vars(options).items() if k != "alone"},
    }
    results |= alternate(options)
    if options.repeats:
        results["whole"] = apart(options)
    text = json.dumps(results, indent=2)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(table(results) if options.markdown else text)


if __name__ == "__main__":
    main()
