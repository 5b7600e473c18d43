"""How each part is called, and what it must give: the rows of the contracts, by family."""
