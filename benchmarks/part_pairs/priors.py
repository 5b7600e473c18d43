"""Priors: the log density of latents, with gradients by the latents and by all parameters."""

from __future__ import annotations

from typing import Any

import torch
from by_hand import couplings, gaussian_process, maf, markov, normal_mixture, vamp_prior
from torch import nn

from part_pairs.pair import Maker, Pair, alike, graded, leaf, roughened
from pyrovae import flows, heads, kernels, nets, priors


def _pair(what: str, prior: Any, by_hand: Any, z: torch.Tensor) -> Pair:
    alike(by_hand.parameters(), prior.parameters())
    return Pair(
        what,
        graded(lambda: prior().log_prob(z), [z, *prior.parameters()]),
        graded(lambda: by_hand.log_density(z), [z, *by_hand.parameters()]),
    )


def vamp(small: bool) -> Pair:
    n, components, pixels, hidden, d = (5, 7, 12, 8, 3) if small else (128, 500, 784, 300, 50)
    encoder = nets.MLP(pixels, hidden, hidden, 2 * d)
    prior = priors.VampPrior(encoder, heads.normal, components, (pixels,), bounds=(0, 1))
    layers = [nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()]
    hand = vamp_prior.VampPrior(
        nn.Sequential(*layers, nn.Linear(hidden, 2 * d)), torch.zeros(components, pixels)
    )
    z = leaf(n, d)
    what = f"({n}, {d}) under {components} pseudo-inputs of {pixels} pixels, encoder included"
    pair = _pair(what, prior, hand, z)
    product = graded(lambda: hand.log_density_by_product(z), [z, *hand.parameters()])
    return pair._replace(other=("one product of matrices in float32", product))


def mixture(small: bool) -> Pair:
    n, components, d = (5, 4, 3) if small else (128, 100, 50)
    prior = roughened(priors.NormalMixture(d, components))
    hand = normal_mixture.NormalMixture(
        torch.zeros(components, d), torch.zeros(components, d), torch.zeros(components)
    )
    return _pair(f"({n}, {d}) under {components} components", prior, hand, leaf(n, d))


def real_nvp(small: bool) -> Pair:
    n, d, layers, hidden = (5, 4, 5, 8) if small else (128, 32, 6, 128)
    prior = roughened(priors.Flow(flows.RealNVP(d, layers=layers, hidden=(hidden,))))
    what = f"({n}, {d}), {layers} layers, {hidden} hidden"
    return _pair(what, prior, couplings.RealNVP(d, layers, hidden), leaf(n, d))


def spline(small: bool) -> Pair:
    n, d, layers, hidden, bins = (5, 4, 5, 8, 4) if small else (128, 32, 4, 128, 8)
    flow = flows.NeuralSpline(d, layers=layers, hidden=(hidden,), bins=bins)
    what = f"({n}, {d}), {layers} layers, {hidden} hidden, {bins} bins"
    by_hand = couplings.NeuralSpline(d, layers, hidden, bins)
    return _pair(what, roughened(priors.Flow(flow)), by_hand, leaf(n, d, scale=2.5))


def masked(small: bool) -> Pair:
    n, d, layers, hidden = (5, 4, 3, 8) if small else (128, 32, 4, 128)
    prior = roughened(priors.Flow(flows.MAF(d, layers=layers, hidden=(hidden,))))
    what = f"({n}, {d}), {layers} layers, {hidden} hidden"
    return _pair(what, prior, maf.MAF(d, layers, (hidden,)), leaf(n, d))


def chain(small: bool) -> Pair:
    n, length, d, hidden = (3, 4, 2, 5) if small else (64, 50, 16, 64)
    prior = roughened(priors.Markov(d, length, net=nets.GatedTransition(d, hidden)))
    hand, z = markov.Prior(d, hidden), leaf(n, length, d)
    own = [*prior.net.parameters(), *prior.initial.parameters()]
    by_hand = [*hand.transition.parameters(), hand.loc, hand.log_scale]
    alike(by_hand, own)
    return Pair(
        f"({n}, {length}, {d}), gated transition, {hidden} hidden",
        graded(lambda: prior().log_prob(z), [z, *own]),
        graded(lambda: hand.log_density(z), [z, *by_hand]),
    )


def process(small: bool) -> Pair:
    n, length, d = (3, 4, 2) if small else (64, 50, 16)
    prior = priors.GaussianProcess(length, d, kernel=kernels.SquaredExponential(3.0))
    hand, z = gaussian_process.GaussianProcess(length), leaf(n, length, d)
    own, by_hand = ([part.log_variance, part.log_lengthscale] for part in (prior.kernel, hand))
    alike(by_hand, own)
    return Pair(
        f"({n}, {length}, {d}), squared exponential",
        graded(lambda: prior().log_prob(z), [z, *own]),
        graded(lambda: hand.log_density(z), [z, *by_hand]),
    )


PAIRS: dict[str, Maker] = {
    "`priors.VampPrior`": vamp,
    "`priors.NormalMixture`": mixture,
    "`priors.Flow(flows.RealNVP)`": real_nvp,
    "`priors.Flow(flows.NeuralSpline)`": spline,
    "`priors.Flow(flows.MAF)`": masked,
    "`priors.Markov`": chain,
    "`priors.GaussianProcess`": process,
}
