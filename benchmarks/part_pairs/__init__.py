"""Parts of pyrovae beside the same by hand (:mod:`by_hand`), at equal weights: what part_time.py measures."""

from part_pairs import likelihoods, posteriors, priors, sequences
from part_pairs.pair import Maker, Pair

PAIRS: dict[str, Maker] = {**priors.PAIRS, **posteriors.PAIRS, **likelihoods.PAIRS, **sequences.PAIRS}
"""What makes each pair, by the name it has in the table; told whether a small one will do."""

__all__ = ["PAIRS", "Maker", "Pair"]
