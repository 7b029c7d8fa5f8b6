"""Chips that keep all weights in SRAM, as many as they need: no DRAM, one layer after another."""
