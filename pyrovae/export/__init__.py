"""The way out: a run's posterior as an ArviZ tree."""

from pyrovae.export.datatree import GROUPS, to_datatree

__all__ = ["GROUPS", "to_datatree"]
