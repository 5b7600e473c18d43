"""Parts as one writes them by hand in torch, without Pyro and without pyrovae: what part_time.py measures by."""
