"""Weights in other people's files become named lazy tensors."""
