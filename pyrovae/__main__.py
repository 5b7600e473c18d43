"""``python -m pyrovae`` is the command line ``pyrovae``."""

from __future__ import annotations

import sys

from pyrovae.cli import main

if __name__ == "__main__":
    sys.exit(main())
