"""The command line ``pyrovae``: fit a model, then evaluate, sample, reconstruct, encode, export.

Nothing here imports torch before a command runs: ``--help`` answers at once.
"""

from pyrovae.cli.entry import main

__all__ = ["main"]
