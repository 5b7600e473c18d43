"""The parts of ``benchmarks/collapse.py``: the programs, what is measured on them, and the picture."""
