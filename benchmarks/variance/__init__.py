"""The parts of ``benchmarks/gradient_variance.py``."""
