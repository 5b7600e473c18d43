"""The sides: who computes the step, by which module and which interpreter, and for which workloads."""

from __future__ import annotations

from typing import NamedTuple

from steps.workloads import WORKLOADS

ALL = frozenset(WORKLOADS)


class Side(NamedTuple):
    """One way to write the step; ``how`` is handed to the module's ``build``."""

    name: str
    label: str
    module: str
    how: str
    workloads: frozenset[str] = ALL
    ahead: str = ""  # what is done once, ahead of all steps: "graph", or "compile" for many seconds
    interpreter: str = "torch"
    device: str | None = None  # None: any


SIDES = {
    side.name: side
    for side in (
        Side("hand", "by hand, eager", "steps.by_hand", "eager"),
        Side("hand-fused", "by hand, eager, fused Adam", "steps.by_hand", "eager-fused"),
        Side("hand-compile", "by hand, `torch.compile`", "steps.by_hand", "compile", ahead="compile"),
        Side(
            "hand-compile-fused",
            "by hand, `torch.compile`, fused Adam",
            "steps.by_hand",
            "compile-fused",
            ahead="compile",
        ),
        Side(
            "hand-graphed",
            "by hand, the whole step one CUDA graph",
            "steps.by_cuda_graph",
            "graphed",
            ahead="compile",
            device="cuda",
        ),
        Side("pyro", "`pyro.infer.SVI` as in its tutorial", "steps.by_pyro", "tutorial"),
        Side("pyro-best", "`pyro.infer.SVI`, logits, no validation", "steps.by_pyro", "best"),
        Side("ours", "`pyrovae.SVI`, compile=False", "steps.by_pyrovae", "eager"),
        Side(
            "ours-capture", '`pyrovae.SVI`, compile="capture"', "steps.by_pyrovae", "capture", ahead="graph"
        ),
        Side("ours-compile", "`pyrovae.SVI`, compile=True", "steps.by_pyrovae", "compile", ahead="compile"),
        Side(
            "numpyro",
            "NumPyro, jitted `svi.update`",
            "steps.by_numpyro",
            "jit",
            workloads=frozenset({"mlp", "tiny", "iwae"}),
            ahead="graph",
            interpreter="numpyro",
        ),
        Side(
            "pythae",
            "pythae's model, Adam",
            "steps.by_pythae",
            "eager",
            workloads=frozenset({"mlp", "tiny", "iwae"}),
            interpreter="pythae",
        ),
    )
}
REFERENCE = "hand"
WHY_NOT = {
    ("numpyro", "conv"): "stax has no convolution that would be laid out alike",
    ("numpyro", "m2"): "NumPyro enumerates through funsor, which is not asked for",
    ("pythae", "conv"): "its convolutional networks are others",
    ("pythae", "m2"): "it has no M2",
}
NOTES = {
    (
        "pythae",
        "iwae",
    ): "its IWAE reports a surrogate, the weighted mean of log weights; the gradient is the same",
}


def chosen(
    work: str, device: str, interpreters: dict[str, str], wanted: list[str] | None, *, compiling: bool
) -> tuple[list[Side], dict[str, str]]:
    """The sides to run, the reference first, and those left out with the reason."""
    run: list[Side] = []
    left_out: dict[str, str] = {}
    for side in SIDES.values():
        if side.device not in (None, device):
            continue
        if wanted is not None and side.name != REFERENCE:
            if side.name not in wanted:
                continue
        elif side.ahead == "compile" and not compiling:
            left_out[side.label] = "it compiles: name it by --sides"
            continue
        if work not in side.workloads:
            left_out[side.label] = WHY_NOT[side.name, work]
        elif side.interpreter not in interpreters:
            left_out[side.label] = f"no interpreter: give --{side.interpreter} PYTHON"
        else:
            run.append(side)
    return run, left_out
