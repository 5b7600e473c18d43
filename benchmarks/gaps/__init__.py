"""The parts of ``benchmarks/guide_gaps.py``: known posteriors, the guides, their gaps and costs."""
