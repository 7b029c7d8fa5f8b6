"""Chips of systolic arrays beside vector units, fed from an SRAM that software manages."""
