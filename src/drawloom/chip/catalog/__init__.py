"""The chips that come with drawloom: one file here is one line in ``CATALOG``."""

CATALOG = {
    "tx81": "Tsingmicro RPU TX81, from public sources",
    "tt_wormhole": "Tenstorrent Wormhole, from public sources: 64 tiles as a grid like any other",
    "tt_blackhole": "Tenstorrent Blackhole, from public sources: 130 tiles as a grid like any other",
    "stacked_die": "HYPOTHETICAL: TX81 with DRAM stacked on the logic",
    "wafer_die": "HYPOTHETICAL: TX8-like die of 64 tiles with HBM3, for a wafer",
}
