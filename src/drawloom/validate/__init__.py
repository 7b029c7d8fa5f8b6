"""Comparisons with measured silicon that ship with drawloom: predictions × measurements → errors."""
