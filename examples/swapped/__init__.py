"""What `swap_parts.py` swaps: parts by their names, and data of every kind."""
