"""The parts of ``discrete_latents.py``: two models with discrete latents, and how their rows are measured."""
