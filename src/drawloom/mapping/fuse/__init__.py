"""Which nodes share a piece, and what the vector engine does for each of them."""
