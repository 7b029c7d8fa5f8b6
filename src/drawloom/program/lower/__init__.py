"""One module a kind of piece: from the mapping's decisions to commands."""
