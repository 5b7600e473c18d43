"""Errors of programs that a plate of particles, or another pair's plates, are the reason of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyrovae.errors import explain


@contextmanager
def particles_explained(objective: str, particles: int) -> Iterator[None]:
    """Says what may be the matter with programs that fail in an outermost plate of particles.

    Raises:
        ValueError: in place of an error of torch's, if there is such a plate.
    """
    try:
        yield
    except (RuntimeError, IndexError, TypeError) as error:
        if particles == 1:
            raise
        raise ValueError(
            explain(
                f"{objective}, num_particles={particles}",
                expected="programs that take latents (particles, batch, ...), in an outermost plate",
                got=f"{type(error).__name__}: {str(error).splitlines()[0]}",
                remedy="Count dimensions from the right, z[..., i], or set vectorize_particles=False.",
            )
        ) from error


@contextmanager
def nesting_explained(objective: str, nesting: float) -> Iterator[None]:
    """Says why the plate of particles collides with one of the programs'.

    Raises:
        ValueError: in place of Pyro's.
    """
    try:
        yield
    except ValueError as error:
        if "collide at dim" not in str(error):
            raise
        raise ValueError(
            explain(
                f"{objective}, max_plate_nesting",
                expected="as many dimensions as the plates of the programs take up",
                got=f"{nesting}, given or found with the first pair of programs",
                remedy="Use objective.fresh() for another pair, or give max_plate_nesting=.",
            )
        ) from error
