"""Chips that keep weights in their SRAM: one file here is one line in ``RESIDENTS``."""

RESIDENTS = {
    "groq_lpu_v1": "Groq LPU, first generation (TSP)",
    "wse3": "Cerebras WSE-3",
}
