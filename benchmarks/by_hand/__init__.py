"""Parts as one writes them by hand, in torch alone: what part_time.py measures those of pyrovae by."""
