"""Kernels on GPUs: tiles and waves over SMs, memory traffic, launches → times."""
