"""The parts of ``step_time.py``: workloads, the sides that compute them, and the clockwork around them."""
