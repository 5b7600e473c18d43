"""The parts of ``benchmarks/guide_gaps.py``: posteriors that are known, the guides, their gaps and their costs."""
