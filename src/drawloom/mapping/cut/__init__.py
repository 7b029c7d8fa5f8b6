"""How the work of a piece is cut over tiles and chunks, and at what price."""
